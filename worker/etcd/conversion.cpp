#include "worker/etcd/conversion.hpp"

#include <utility>

namespace rollout::etcd {

namespace wire = etcdserverpb;

namespace {

wire::Compare::CompareResult result_of(compare::relation from)
{
    switch (from) {
    case compare::relation::equal:
        return wire::Compare::EQUAL;
    case compare::relation::greater:
        return wire::Compare::GREATER;
    case compare::relation::less:
        return wire::Compare::LESS;
    case compare::relation::not_equal:
        return wire::Compare::NOT_EQUAL;
    }
    return wire::Compare::EQUAL;
}


void fill_compare(wire::Compare &to, compare &&from)
{
    to.set_key(std::move(from.key));
    to.set_range_end(std::move(from.range_end));
    to.set_result(result_of(from.is));
    switch (from.of) {
    case compare::field::version:
        to.set_target(wire::Compare::VERSION);
        to.set_version(from.number);
        break;
    case compare::field::create_revision:
        to.set_target(wire::Compare::CREATE);
        to.set_create_revision(from.number);
        break;
    case compare::field::mod_revision:
        to.set_target(wire::Compare::MOD);
        to.set_mod_revision(from.number);
        break;
    case compare::field::lease:
        to.set_target(wire::Compare::LEASE);
        to.set_lease(from.number);
        break;
    case compare::field::value:
        to.set_target(wire::Compare::VALUE);
        to.set_value(std::move(from.value));
        break;
    }
}


struct step_filler {
    wire::RequestOp &to;

    void operator()(range_request &from) const { etcd::fill(*to.mutable_request_range(), std::move(from)); }
    void operator()(put_request &from) const { etcd::fill(*to.mutable_request_put(), std::move(from)); }
    void operator()(delete_request &from) const { etcd::fill(*to.mutable_request_delete_range(), std::move(from)); }
    void operator()(txn_request &from) const { etcd::fill(*to.mutable_request_txn(), std::move(from)); }
};


void fill_steps(google::protobuf::RepeatedPtrField<wire::RequestOp> &to, std::vector<txn_step> &&from)
{
    to.Reserve(static_cast<int>(from.size()));
    for (txn_step &step : from) {
        std::visit(step_filler{*to.Add()}, step.is);
    }
}


txn_part part_of(const wire::ResponseOp &from)
{
    switch (from.response_case()) {
    case wire::ResponseOp::kResponsePut:
        return {from_wire(from.response_put())};
    case wire::ResponseOp::kResponseDeleteRange:
        return {from_wire(from.response_delete_range())};
    case wire::ResponseOp::kResponseTxn:
        return {from_wire(from.response_txn())};
    case wire::ResponseOp::kResponseRange:
    case wire::ResponseOp::RESPONSE_NOT_SET:
        break;
    }
    return {from_wire(from.response_range())};
}

} // namespace


std::string end_of_prefix(std::string_view prefix)
{
    std::string end(prefix);
    while (!end.empty()) {
        const auto last = static_cast<unsigned char>(end.back());
        if (last != 0xff) {
            end.back() = static_cast<char>(last + 1);
            return end;
        }
        end.pop_back();
    }
    return std::string(1, '\0');
}


void fill(wire::RangeRequest &to, range_request &&from)
{
    to.set_key(std::move(from.key));
    to.set_range_end(std::move(from.range_end));
    to.set_limit(from.limit);
    to.set_revision(from.revision);
    to.set_serializable(from.serializable);
    to.set_keys_only(from.keys_only);
    to.set_count_only(from.count_only);
}


void fill(wire::PutRequest &to, put_request &&from)
{
    to.set_key(std::move(from.key));
    to.set_value(std::move(from.value));
    to.set_lease(from.lease);
}


void fill(wire::DeleteRangeRequest &to, delete_request &&from)
{
    to.set_key(std::move(from.key));
    to.set_range_end(std::move(from.range_end));
}


void fill(wire::TxnRequest &to, txn_request &&from)
{
    for (compare &one : from.compares) {
        fill_compare(*to.add_compare(), std::move(one));
    }
    fill_steps(*to.mutable_success(), std::move(from.then));
    fill_steps(*to.mutable_failure(), std::move(from.otherwise));
}


void fill(wire::CompactionRequest &to, const compact_request &from)
{
    to.set_revision(from.revision);
    to.set_physical(from.physical);
}


void fill(wire::LeaseGrantRequest &to, const lease_request &from)
{
    to.set_ttl(from.ttl.count());
}


void fill(wire::LeaseKeepAliveRequest &to, const lease_renewal &from)
{
    to.set_id(from.id);
}


void fill(wire::LeaseRevokeRequest &to, const revoke_request &from)
{
    to.set_id(from.id);
}


void fill(wire::StatusRequest &, const status_request &) {}


answer_header from_wire(const wire::ResponseHeader &from)
{
    return {from.cluster_id(), from.member_id(), from.revision(), from.raft_term()};
}


key_value from_wire(const wire::KeyValue &from)
{
    return {from.key(), from.value(), from.create_revision(), from.mod_revision(), from.version(), from.lease()};
}


range_answer from_wire(const wire::RangeResponse &from)
{
    range_answer to{from_wire(from.header()), {}, from.count(), from.more()};
    to.found.reserve(static_cast<std::size_t>(from.kvs_size()));
    for (const auto &entry : from.kvs()) {
        to.found.push_back(from_wire(entry));
    }
    return to;
}


put_answer from_wire(const wire::PutResponse &from)
{
    return {from_wire(from.header())};
}


delete_answer from_wire(const wire::DeleteRangeResponse &from)
{
    return {from_wire(from.header()), from.deleted()};
}


txn_answer from_wire(const wire::TxnResponse &from)
{
    txn_answer to{from_wire(from.header()), from.succeeded(), {}};
    to.parts.reserve(static_cast<std::size_t>(from.responses_size()));
    for (const auto &part : from.responses()) {
        to.parts.push_back(part_of(part));
    }
    return to;
}


compact_answer from_wire(const wire::CompactionResponse &from)
{
    return {from_wire(from.header())};
}


lease_answer from_wire(const wire::LeaseGrantResponse &from)
{
    return {from_wire(from.header()), from.id(), std::chrono::seconds(from.ttl())};
}


lease_answer from_wire(const wire::LeaseKeepAliveResponse &from)
{
    return {from_wire(from.header()), from.id(), std::chrono::seconds(from.ttl())};
}


revoke_answer from_wire(const wire::LeaseRevokeResponse &from)
{
    return {from_wire(from.header())};
}


status_answer from_wire(const wire::StatusResponse &from)
{
    return {from_wire(from.header()),
            from.version(),
            from.dbsize(),
            from.dbsizeinuse(),
            from.leader(),
            from.islearner(),
            {from.errors().begin(), from.errors().end()},
            from.dbsizequota()};
}


watch_event from_wire(const wire::Event &from)
{
    return {from.type() == wire::Event::DELETE, from_wire(from.kv())};
}

} // namespace rollout::etcd
