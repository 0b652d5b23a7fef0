// SPDX-License-Identifier: BSD-3-Clause
#include "agent/drive/node/node_driver.h"

#include "agent/base/log.h"
#include "agent/io/clock.h"
#include "agent/wire/agent_channel.h"

namespace sallyport {

Result<std::unique_ptr<NodeDriver>> NodeDriver::start(io::Loop& loop, Fd agent) {
  std::unique_ptr<NodeDriver> driver(new NodeDriver(loop));
  NodeDriver* const self = driver.get();
  driver->resolver_ = TRY(
      Resolver::start(loop, [self](const std::string& host, const std::vector<IpAddress>& found) {
        if (found.empty()) log_info("lookup.failed host={} then=retry", host);
        self->run(self->node_.on_lookup(host, found, io::boot_now()));
      }));
  driver->wake_ = io::Timer(loop, [self] { self->run(self->node_.on_wake(io::boot_now())); });
  driver->agent_ = TRY(io::Seqpacket::adopt(
      loop, std::move(agent),
      {.on_message = [self](ByteView message,
                            const std::vector<Fd>&) { self->on_message(message); },
       .on_end = [self](const std::optional<Error>& why) { self->on_end(why); }}));
  return driver;
}

void NodeDriver::on_message(ByteView message) {
  const auto records = channel::parse_agent_message(message);
  if (!records) return give_up("the agent's message is not well formed");
  for (const channel::AgentRecord& record : *records) {
    if (const auto* refused = std::get_if<channel::RefusedObject>(&record)) {
      log_warning("epoch.refused epoch={} object=\"{}\" reason={} then=retry without it",
                  refused->epoch, refused->refused.object.text(), name_of(refused->refused.reason));
    }
    run(node_.on_record(record, io::wall_now(), io::boot_now()));
  }
}

void NodeDriver::on_end(const std::optional<Error>& why) {
  if (why) return give_up(why->text());
  loop_.stop();  // the agent is gone, and we with it
}

void NodeDriver::run(const NodeActions& actions) {
  for (const NodeAction& action : actions) {
    std::visit([this](const auto& a) { act(a); }, action);
  }
  if (const auto next = node_.next_wake()) {
    wake_.arm(*next);
  } else {
    wake_.cancel();
  }
}

void NodeDriver::act(const Lookup& lookup) { resolver_->look_up(lookup.host); }

void NodeDriver::act(const Send& send) {
  const auto messages = channel::write_node_messages(send.records);
  if (!messages) return give_up("an object of ours is beyond the channel's bounds");
  for (const Bytes& message : *messages) {
    // The queue holds far more than an epoch; an agent that reads nothing for so long has hung.
    if (agent_.send(message) != io::Offer::kTaken) return give_up("the agent does not read");
  }
}

void NodeDriver::act(const Stop& stop) { give_up(stop.why); }

void NodeDriver::give_up(std::string_view why) {
  log_error("node.stops why=\"{}\"", why);
  failed_ = true;
  loop_.stop();
}

}  // namespace sallyport
