// SPDX-License-Identifier: BSD-3-Clause
/// A web server on the corporate LAN with one page.
#pragma once

#include <cstdint>
#include <string>
#include <thread>

#include "agent/base/fd.h"

namespace sallyport::scene {

class PageServer {
 public:
  /// A page of `bytes` bytes of noise, for whoever asks, one after the other.
  PageServer(const std::string& netns, const std::string& local, size_t bytes);
  PageServer(const PageServer&) = delete;
  PageServer& operator=(const PageServer&) = delete;
  ~PageServer();

  [[nodiscard]] std::string url() const { return url_; }
  /// In hex.
  [[nodiscard]] const std::string& sha256() const { return sha256_; }

 private:
  void serve();
  void answer(const Fd& client) const;

  std::string page_, url_, sha256_;
  Fd listener_, wake_;
  std::thread thread_;
};

}  // namespace sallyport::scene
