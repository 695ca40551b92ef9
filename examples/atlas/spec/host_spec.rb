require_relative 'spec_helper'

n = node

describe user('vagrant') do
  it { should exist }
end

describe service('ssh') do
  it { should be_enabled }
end

if n['hostname']
  describe file('/etc/hostname') do
    its(:content) { should eq "#{n['hostname']}\n" }
  end

  describe command('uname -n') do
    its(:stdout) { should eq "#{n['hostname']}\n" }
  end

  # What Oracle and Java ask of a machine: its own name has an address.
  describe host(n['hostname']) do
    it { should be_resolvable.by('hosts') }
    its(:ipv4_address) { should eq '127.0.0.1' }
  end

  n['hosts'].each do |entry|
    entry['names'].each do |name|
      describe host(name) do
        its(:ipv4_address) { should eq entry['address'] }
      end
    end
  end

  describe file('/etc/cloud/cloud.cfg.d/99-static-hostname.cfg') do
    its(:content) { should match(/^preserve_hostname: true$/) }
  end
end
