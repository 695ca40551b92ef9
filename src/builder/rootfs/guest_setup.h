// What rootfs writes into a root: before it is provisioned, and when the image is finished.
#pragma once
#include <string>
#include <vector>

#include "builder/rootfs/config.h"
#include "communicator/container/container.h"
#include "communicator/container/root_tree.h"

namespace kiln {

/// Host name, DHCP, first-boot units: for a root that was just made.
void configure_new_root(const RootTree& tree, const RootfsPlan& plan);
/// /etc/hostname and its line in /etc/hosts.
void set_guest_hostname(const RootTree& tree, const std::string& hostname);
/// Changes that hold while provisioning only: name resolution, unsafe but fast package installation.
void prepare_for_provisioning(const RootTree& tree, const std::string& resolv_conf);
/// Takes them back. A file that the provisioners changed meanwhile stays as they left it.
void restore_after_provisioning(const RootTree& tree, const std::string& resolv_conf);
/// Gives cloud-init in the container what to read (nothing unless something is given). A seed that the root has itself is
/// put aside.
void write_cloud_seed(const RootTree& tree, const CloudSeedConfig& seed, const std::string& instance_id);
/// Takes it back, with all that cloud-init made of it to remember.
void remove_cloud_seed(const RootTree& tree, const CloudSeedConfig& seed);
/// Makes the image safe to be started many times and small: identities, keys, caches, journals.
void clean_root(const RootTree& tree);
/// Makes /vmlinuz and /initrd.img point to the newest kernel where they are missing. Throws Error{user} without one.
void ensure_kernel_links(const RootTree& tree);
/// The name service that the container shall use.
std::string container_resolv_conf(ContainerNetwork network, const std::string& host_resolv_conf);

/// Makes the initramfs of every kernel in the running container, where the placeholder kept packages from it.
void make_initramfs(Container& container, const Deadline& deadline, const Stop& stop);
/// Makes the accounts inside the running container. Passwords go by standard input.
void make_users(Container& container, const RootfsConfig& config, const Deadline& deadline, const Stop& stop);

/// Version order of kernel file names ("vmlinuz-6.1.9" < "vmlinuz-6.1.10"). Pure.
bool version_less(const std::string& a, const std::string& b);

}  // namespace kiln
