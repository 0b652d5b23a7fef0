// SPDX-License-Identifier: BSD-3-Clause
#include "agent/drive/node/node_driver.h"

#include "agent/base/log.h"
#include "agent/io/clock.h"
#include "agent/wire/agent_channel.h"

namespace sallyport {

Result<std::unique_ptr<NodeDriver>> NodeDriver::start(io::Loop& loop, Fd agent, Opening opening) {
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
                            std::vector<Fd> fds) { self->on_message(message, std::move(fds)); },
       .on_end = [self](const std::optional<Error>& why) { self->on_end(why); }}));
  for (const channel::AgentRecord& record : opening.records) {
    self->on_record(record);
    const auto* join = std::get_if<channel::Join>(&record);
    if (join == nullptr) continue;
    driver->tailnet_ = TRY(Tailnet::create(
        loop, *join, std::move(opening.fds),
        {.on_plan =
             [self](const std::vector<ObjectId>& deletes, const std::vector<NodeObject>& puts) {
               self->run(self->node_.on_plan(deletes, puts, io::boot_now()));
             },
         .on_move =
             [self](const PathSteps& path) {
               self->node_.on_move(path, self->tailnet_->orders().relay_port);
               self->say(channel::MovePeer{path});
             },
         .observe = [self](const PublicKey& peer) { self->say(channel::Observe{peer}); }}));
  }
  if (driver->tailnet_) {
    driver->answers_ = std::make_unique<TailnetAnswers>(loop, *driver->tailnet_);
    driver->tailnet_->start();
  }
  return driver;
}

void NodeDriver::on_message(ByteView message, std::vector<Fd> fds) {
  const auto records = channel::parse_agent_message(message);
  if (!records) return give_up("the agent's message is not well formed");
  for (const channel::AgentRecord& record : *records) {
    on_record(record);
    if (tailnet_) tell_tailnet(record, fds);
  }
}

void NodeDriver::tell_tailnet(const channel::AgentRecord& record, std::vector<Fd>& fds) {
  if (const auto* join = std::get_if<channel::Join>(&record)) tailnet_->on_orders(*join);
  if (const auto* local = std::get_if<channel::LocalAddresses>(&record))
    tailnet_->on_local_addresses(*local);
  if (std::holds_alternative<channel::NetworkChanged>(record)) tailnet_->on_network_changed();
  if (const auto* observed = std::get_if<channel::Observed>(&record))
    tailnet_->on_observed(*observed);
  if (std::holds_alternative<channel::Serve>(record) && fds.size() == 2) {
    answers_->serve(std::move(fds[0]), fds[1]);
    fds.clear();
  }
}

void NodeDriver::say(const channel::NodeRecord& record) { act(Send{{record}}); }

void NodeDriver::on_record(const channel::AgentRecord& record) {
  if (const auto* refused = std::get_if<channel::RefusedObject>(&record)) {
    log_warning("epoch.refused epoch={} object=\"{}\" reason={} then=retry without it",
                refused->epoch, refused->refused.object.text(), name_of(refused->refused.reason));
  }
  run(node_.on_record(record, io::wall_now(), io::boot_now()));
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
