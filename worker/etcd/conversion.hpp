// Between our messages and protobuf's. Requests give their texts away.
#pragma once

#include "worker/etcd/messages.hpp"

#include <etcd.pb.h>

namespace rollout::etcd {

etcdserverpb::RangeRequest to_wire(range_request &&from);
etcdserverpb::PutRequest to_wire(put_request &&from);
etcdserverpb::DeleteRangeRequest to_wire(delete_request &&from);
etcdserverpb::TxnRequest to_wire(txn_request &&from);
etcdserverpb::CompactionRequest to_wire(const compact_request &from);
etcdserverpb::LeaseGrantRequest to_wire(const lease_request &from);
etcdserverpb::LeaseKeepAliveRequest to_wire(const lease_renewal &from);
etcdserverpb::LeaseRevokeRequest to_wire(const revoke_request &from);
etcdserverpb::StatusRequest to_wire(const status_request &from);

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
