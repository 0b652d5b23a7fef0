// SPDX-License-Identifier: BSD-3-Clause
/// The metrics page, in Prometheus' text form.
#pragma once

#include <functional>
#include <list>
#include <memory>
#include <string>

#include "agent/base/result.h"
#include "agent/drive/agent/policy_driver.h"
#include "agent/io/listener.h"
#include "agent/io/loop.h"
#include "agent/io/stream.h"
#include "agent/model/config.h"
#include "kmod-glue/bpf_loader.h"

namespace sallyport {

/// All counters of the data plane and of the agent.
std::string metrics_page(const Config& config, const PolicyDriver& policy, DataPlane& data_plane);

/// Answers GET with the page, on a unix socket or a TCP address. Knows no more of HTTP than a
/// scraper needs: one request a connection.
class MetricsServer {
 public:
  static constexpr size_t kMostClients = 16;
  static constexpr size_t kLongestRequest = 8192;

  static Result<std::unique_ptr<MetricsServer>> create(io::Loop& loop, Fd listener,
                                                       std::function<std::string()> page);
  MetricsServer(const MetricsServer&) = delete;
  MetricsServer& operator=(const MetricsServer&) = delete;
  ~MetricsServer();

 private:
  struct Client;
  MetricsServer(io::Loop& loop, std::function<std::string()> page);
  void accept(Fd connection);
  void on_data(Client& client, ByteView bytes);

  io::Loop& loop_;
  std::function<std::string()> page_;
  io::Listener listener_;
  std::list<std::unique_ptr<Client>> clients_;
};

}  // namespace sallyport
