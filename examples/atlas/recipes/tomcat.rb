# Tomcat from Debian's packages, with a configuration of our own.
execute 'apt-get -q update' do
  not_if 'dpkg-query -s tomcat10 openjdk-17-jre-headless'
end

%w[openjdk-17-jre-headless tomcat10].each do |name|
  package name do
    options '--no-install-recommends'
  end
end

template '/etc/tomcat10/server.xml' do
  source '../templates/server.xml.erb'
  owner 'root'
  group 'tomcat'
  mode '0640'
  notifies :restart, 'service[tomcat10]'
end

template '/etc/default/tomcat10' do
  source '../templates/tomcat10.erb'
  owner 'root'
  group 'root'
  mode '0644'
  notifies :restart, 'service[tomcat10]'
end

service 'tomcat10' do
  action :enable
end
