// SPDX-License-Identifier: BSD-3-Clause
#include "tests/interop/scenes/stock.h"

#include <gtest/gtest.h>

#include <filesystem>

namespace sallyport::scene {
namespace {

constexpr size_t kLogEnd = 12'000;

std::string folder(const Ground& ground, const std::string& name) {
  std::string out = ground.net.dir() + "/" + name;
  std::filesystem::create_directories(out);
  return out;
}

}  // namespace

Stock::Stock(const Ground& ground, const Ground::Host& host, std::string name)
    : name_(std::move(name)),
      netns_(host.netns),
      control_url_(ground.control_url),
      servant_({"/usr/bin/env", "TS_NO_LOGS_NO_SUPPORT=true", "TS_PANIC_IF_HIT_MAIN_CONTROL=1",
                go_program("STOCK"), "-dir=" + folder(ground, name_)},
               host.netns, ground.net.dir() + "/" + name_ + ".log") {}

Json Stock::words_of(const StockOptions& options) const {
  return {{"url", control_url_},
          {"hostname", name_},
          {"accept_routes", options.accept_routes},
          {"exit_node", options.exit_node}};
}

void Stock::up(const StockOptions& options) {
  const Json self = ask("up", words_of(options), 30s);
  if (!self.is_object()) return;
  ip_ = self["ips"].at(0);
  key_ = self["key"];
}

void Stock::set(const StockOptions& options) { ask("prefs", words_of(options)); }

Answer Stock::order(const std::string& verb, Json words, std::chrono::milliseconds limit) {
  words["do"] = verb;
  words["limit_ms"] = limit.count();
  return servant_.order(words.dump(), limit + 10s);
}

Json Stock::ask(const std::string& verb, Json words, std::chrono::milliseconds limit) {
  Answer answer = order(verb, words, limit);
  EXPECT_TRUE(answer) << name_ << ": " << verb << " " << words << ": " << answer.error << dump();
  return std::move(answer.ok);
}

Json Stock::peer(const std::string& ip) {
  const Answer status = order("status");
  if (!status || !status.ok["Peer"].is_object()) return {};
  for (const Json& peer : status.ok["Peer"]) {
    for (const Json& one : peer["TailscaleIPs"]) {
      if (one == ip) return peer;
    }
  }
  return {};
}

void Stock::nudge(const std::string& ip) {
  if (Clock::now() < next_nudge_) return;
  next_nudge_ = Clock::now() + 500ms;
  order("ping", {{"to", ip}, {"type", "disco"}}, 1s);
}

std::string Stock::direct_to(const std::string& ip) {
  const Json found = peer(ip);
  return found.is_object() ? found.value("CurAddr", "") : "";
}

void Stock::start(const std::string& name, const std::string& type, const std::string& to,
                  int per_second) {
  ask("start", {{"name", name}, {"type", type}, {"to", to}, {"per_second", per_second}});
}

Stock::Count Stock::count(const std::string& verb, const std::string& name) {
  const Json json = ask(verb, {{"name", name}});
  if (!json.is_object()) return {};
  return {.sent = json["sent"],
          .received = json["received"],
          .duplicates = json["duplicates"],
          .silent = std::chrono::milliseconds(json["silent_ms"]),
          .longest = std::chrono::milliseconds(json["longest_ms"]),
          .error = json.value("error", "")};
}

bool Stock::flowing(const std::string& name, uint64_t more, std::chrono::milliseconds limit) {
  const uint64_t wanted = now(name).received + more;
  return eventually([&] { return now(name).received >= wanted; }, limit);
}

std::string Stock::Count::text() const {
  return "sent " + std::to_string(sent) + ", back " + std::to_string(received) + ", twice " +
         std::to_string(duplicates) + ", silent " + std::to_string(silent.count()) +
         " ms, longest " + std::to_string(longest.count()) + " ms " + error;
}

std::string Stock::dump() {
  std::string log = servant_.log();
  if (log.size() > kLogEnd) log.erase(0, log.size() - kLogEnd);
  return "\n--- " + name_ + "\n" + order("status").ok.dump(1) + "\n" + log;
}

}  // namespace sallyport::scene
