// SPDX-License-Identifier: BSD-3-Clause
/// A BPF file system of a test's own.
#pragma once

#include <sys/mount.h>
#include <unistd.h>

#include <cstdlib>
#include <string>

namespace sallyport {

/// A mount of its own, so that nothing of a test is under /sys/fs/bpf. Pins go with this object.
class OwnBpfFs {
 public:
  OwnBpfFs() {
    std::string path = "/tmp/sallyport-bpf-XXXXXX";
    if (mkdtemp(path.data()) == nullptr) return;
    path_ = path;
    mounted_ = mount("bpf", path_.c_str(), "bpf", 0, nullptr) == 0;
  }
  OwnBpfFs(const OwnBpfFs&) = delete;
  OwnBpfFs& operator=(const OwnBpfFs&) = delete;
  ~OwnBpfFs() {
    if (mounted_) umount2(path_.c_str(), MNT_DETACH);
    if (!path_.empty()) rmdir(path_.c_str());
  }
  /// False: not root.
  [[nodiscard]] bool mounted() const { return mounted_; }
  [[nodiscard]] const std::string& path() const { return path_; }

 private:
  std::string path_;
  bool mounted_ = false;
};

}  // namespace sallyport
