// SPDX-License-Identifier: BSD-3-Clause
/// A stock node (tests/interop/stock: the reference's own client, unmodified) on a host of the
/// ground.
#pragma once

#include <string>

#include "tests/interop/scenes/ground.h"

namespace sallyport::scene {

struct StockOptions {
  bool accept_routes = true;
  std::string exit_node;  // its tailnet address
};

class Stock {
 public:
  Stock(const Ground& ground, const Ground::Host& host, std::string name);

  /// Joins, and waits until it runs. Fails the test if it does not.
  void up(const StockOptions& options = {});
  void set(const StockOptions& options);

  /// An order as tests/interop/stock/main.go reads it, with the time it may take there.
  Answer order(const std::string& verb, Json words = Json::object(),
               std::chrono::milliseconds limit = 10s);
  /// The same; fails the test unless it is done.
  Json ask(const std::string& verb, Json words = Json::object(),
           std::chrono::milliseconds limit = 10s);

  /// What its status says of the peer with this tailnet address; null: it knows none.
  Json peer(const std::string& ip);
  /// Pings that peer now and then, so that the two look for a path: not more often than people do.
  void nudge(const std::string& ip);
  /// Where its packets to that peer go directly, or "" (DERP, or it sends none).
  std::string direct_to(const std::string& ip);

  /// Traffic that goes on: "udp" (numbered datagrams to an echo server) or "tcp".
  void start(const std::string& name, const std::string& type, const std::string& to,
             int per_second = 100);
  struct Count {
    uint64_t sent = 0, received = 0, duplicates = 0;
    std::chrono::milliseconds silent{}, longest{};
    std::string error;
    [[nodiscard]] std::string text() const;
  };
  Count now(const std::string& name) { return count("now", name); }
  /// Ends the sending, waits for what is under way, and counts.
  Count stop(const std::string& name) { return count("stop", name); }
  /// Waits until this many more have come back.
  bool flowing(const std::string& name, uint64_t more, std::chrono::milliseconds limit = 15s);

  [[nodiscard]] const std::string& ip() const { return ip_; }
  [[nodiscard]] const std::string& key() const { return key_; }
  [[nodiscard]] const std::string& netns() const { return netns_; }
  /// Its status and the end of its log.
  std::string dump();

 private:
  Count count(const std::string& verb, const std::string& name);
  [[nodiscard]] Json words_of(const StockOptions& options) const;

  std::string name_, netns_, control_url_, ip_, key_;
  Clock::time_point next_nudge_{};
  Servant servant_;
};

}  // namespace sallyport::scene
