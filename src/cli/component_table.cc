#include "cli/component_table.h"

#include "builder/amazon/chroot.h"
#include "builder/amazon/ebs.h"
#include "builder/amazon/surrogate.h"
#include "builder/amazon/volume.h"
#include "builder/file/file.h"
#include "builder/null/null.h"
#include "builder/qemu/qemu.h"
#include "builder/rootfs/rootfs.h"
#include "data_source/amazon_ami/amazon_ami.h"
#include "data_source/amazon_parameterstore/amazon_parameterstore.h"
#include "data_source/amazon_secretsmanager/amazon_secretsmanager.h"
#include "data_source/http/http.h"
#include "data_source/null/null.h"
#include "post_processor/amazon_import/amazon_import.h"
#include "post_processor/artifice/artifice.h"
#include "post_processor/checksum/checksum.h"
#include "post_processor/compress/compress.h"
#include "post_processor/manifest/manifest.h"
#include "post_processor/shell_local/shell_local.h"
#include "provisioner/breakpoint/breakpoint.h"
#include "provisioner/file/file.h"
#include "provisioner/powershell/powershell.h"
#include "provisioner/seal/seal.h"
#include "provisioner/shell/shell.h"
#include "provisioner/shell_local/shell_local.h"
#include "provisioner/sleep/sleep.h"
#include "provisioner/windows_restart/windows_restart.h"
#include "provisioner/windows_shell/windows_shell.h"
#include "tester/drift/drift.h"
#include "tester/goss/goss.h"
#include "tester/serverspec/serverspec.h"
#include "tester/shell/shell.h"
#include "tester/uploaded/uploaded.h"

namespace kiln {

const Components& component_table() {
  static const auto amazon = make_amazon_shared();
  static const Components table{
      {qemu_builder(), rootfs_builder(), amazon_ebs_builder(amazon), amazon_ebssurrogate_builder(amazon),
       amazon_ebsvolume_builder(amazon), amazon_chroot_builder(amazon), null_builder(), file_builder()},
      {shell_provisioner(), shell_local_provisioner(), file_provisioner(), sleep_provisioner(),
       breakpoint_provisioner(), powershell_provisioner(), windows_shell_provisioner(),
       windows_restart_provisioner(), seal_provisioner()},
      {manifest_post_processor(), checksum_post_processor(), compress_post_processor(),
       artifice_post_processor(), shell_local_post_processor(), amazon_import_post_processor()},
      {null_data_source(), http_data_source(), amazon_ami_data_source(), amazon_parameterstore_data_source(),
       amazon_secretsmanager_data_source()},
      {shell_tester(), goss_tester(), serverspec_tester(), uploaded_tester(), drift_tester()},
  };
  return table;
}

}  // namespace kiln
