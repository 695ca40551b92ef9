// Instances as the API shows them.
#pragma once
#include "endpoint/selection.h"

namespace kiln::ec2 {

/// 0 pending, 16 running, 32 shutting-down, 48 terminated, 64 stopping, 80 stopped.
int state_code(const std::string& state);
void put_state(Xml& out, const char* name, const std::string& state);
/// One item of instancesSet.
void put_instance(Context& context, Xml& out, const Instance& instance);
/// A reservation's members: what RunInstances answers and DescribeInstances lists.
void put_reservation(Context& context, Xml& out, const std::vector<Instance>& instances);
std::optional<FilterValues> instance_filter(Context& context, const Instance& instance,
                                            const std::string& name);
/// The instance's network interface, as a part of it or, `alone`, as a thing that is listed by itself.
void put_interface(Context& context, Xml& out, const Instance& instance, bool alone);
void put_group_set(Context& context, Xml& out, const Instance& instance);

}  // namespace kiln::ec2
