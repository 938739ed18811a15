// Between our messages and protobuf's. Requests give their texts away, and are filled in where they are: a message that
// is moved from one arena into another is copied.
#pragma once

#include "worker/etcd/messages.hpp"

#include <etcd.pb.h>

namespace rollout::etcd {

void fill(etcdserverpb::RangeRequest &to, range_request &&from);
void fill(etcdserverpb::PutRequest &to, put_request &&from);
void fill(etcdserverpb::DeleteRangeRequest &to, delete_request &&from);
void fill(etcdserverpb::TxnRequest &to, txn_request &&from);
void fill(etcdserverpb::CompactionRequest &to, const compact_request &from);
void fill(etcdserverpb::LeaseGrantRequest &to, const lease_request &from);
void fill(etcdserverpb::LeaseKeepAliveRequest &to, const lease_renewal &from);
void fill(etcdserverpb::LeaseRevokeRequest &to, const revoke_request &from);
void fill(etcdserverpb::StatusRequest &to, const status_request &from);

answer_header from_wire(const etcdserverpb::ResponseHeader &from);
key_value from_wire(const etcdserverpb::KeyValue &from);
range_answer from_wire(const etcdserverpb::RangeResponse &from);
put_answer from_wire(const etcdserverpb::PutResponse &from);
delete_answer from_wire(const etcdserverpb::DeleteRangeResponse &from);
txn_answer from_wire(const etcdserverpb::TxnResponse &from);
compact_answer from_wire(const etcdserverpb::CompactionResponse &from);
lease_answer from_wire(const etcdserverpb::LeaseGrantResponse &from);
lease_answer from_wire(const etcdserverpb::LeaseKeepAliveResponse &from);
revoke_answer from_wire(const etcdserverpb::LeaseRevokeResponse &from);
status_answer from_wire(const etcdserverpb::StatusResponse &from);
watch_event from_wire(const etcdserverpb::Event &from);

} // namespace rollout::etcd
