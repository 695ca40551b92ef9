# Who the machine is. The name is set here and not at the first boot, and
# cloud-init is told to leave it alone.
name = node['hostname']

template '/etc/hosts' do
  source '../templates/hosts.erb'
  owner 'root'
  group 'root'
  mode '0644'
end

execute "hostnamectl set-hostname --static #{name}" do
  not_if "grep -qx #{name} /etc/hostname"
end

file '/etc/cloud/cloud.cfg.d/99-static-hostname.cfg' do
  content "preserve_hostname: true\nmanage_etc_hosts: false\n"
  owner 'root'
  group 'root'
  mode '0644'
end
