// SPDX-License-Identifier: BSD-3-Clause
/// The data plane as Kernel wants it: programs on devices.
#pragma once

#include <vector>

#include "kmod-glue/bpf_loader.h"
#include "kmod-glue/kernel.h"

namespace sallyport {

class KernelAttacher : public AttachOps {
 public:
  /// `data_plane` outlives this object.
  explicit KernelAttacher(DataPlane& data_plane) : data_plane_(data_plane) {}
  Result<std::vector<Attachment>> attached() override { return data_plane_.attachments(); }
  Result<void> attach(const Attachment& attachment) override {
    return data_plane_.attach(attachment);
  }
  Result<void> detach(const Attachment& attachment) override {
    return data_plane_.detach(attachment);
  }

 private:
  DataPlane& data_plane_;
};

}  // namespace sallyport
