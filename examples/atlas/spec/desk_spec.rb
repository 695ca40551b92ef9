require_relative 'spec_helper'

n = node
url = "http://127.0.0.1:#{n['tomcat']['port']}"

describe package('tomcat10') do
  it { should be_installed }
end

describe service('tomcat10') do
  it { should be_enabled }
  it { should be_running }
end

# The first answer waits for the server: it may have been restarted just now.
describe command("curl -fsS --retry 60 --retry-delay 1 --max-time 120 --retry-connrefused #{url}/") do
  its(:exit_status) { should eq 0 }
  its(:stdout) { should include "<h1>#{n['desk']['title']}</h1>" }
  its(:stdout) { should include "Atlas Desk #{n['desk']['version']}" }
  its(:stdout) { should match(/environment: <b>#{n['environment']}</) }
end

describe command("curl -fsS #{url}/issues.jsp") do
  its(:stdout) { should include 'DESK-1' }
end

describe command("curl -s -o /dev/null -w '%{http_code}' #{url}/WEB-INF/web.xml") do
  its(:stdout) { should eq '404' }
end

describe port(n['tomcat']['port']) do
  it { should be_listening }
end

describe file('/etc/tomcat10/server.xml') do
  it { should be_owned_by 'root' }
  it { should be_grouped_into 'tomcat' }
  it { should be_mode 640 }
  its(:content) { should include %(maxThreads="#{n['tomcat']['max_threads']}") }
  its(:content) { should include %(proxyName="#{n['tomcat']['proxy_name']}") } if n['tomcat']['proxy_name']
end

describe file('/opt/atlas-desk/LICENCE.txt') do
  it { should be_file }
  it { should be_owned_by 'root' }
end

describe file('/var/lib/atlas-desk') do
  it { should be_directory }
  it { should be_owned_by 'tomcat' }
  it { should be_mode 750 }
end

describe process('java') do
  its(:user) { should eq 'tomcat' }
  its(:args) { should include "-Xmx#{n['tomcat']['heap']}" }
end
