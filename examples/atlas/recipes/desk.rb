# The application, from the archive its maker sells.
version = node['desk']['version']
archive = File.expand_path("../atlas-desk-#{version}.tar.gz", __dir__)

execute "install Atlas Desk #{version}" do
  command "rm -rf /var/tmp/atlas-desk && tar -C /var/tmp -xzf #{archive} && " \
          'sh /var/tmp/atlas-desk/install.sh /opt/atlas-desk /var/lib/atlas-desk && rm -rf /var/tmp/atlas-desk'
  not_if "grep -qx #{version} /opt/atlas-desk/VERSION"
end

directory '/var/lib/atlas-desk' do
  owner 'tomcat'
  group 'tomcat'
  mode '0750'
end

directory '/etc/atlas-desk' do
  owner 'root'
  group 'tomcat'
  mode '0750'
end

template '/etc/atlas-desk/desk.properties' do
  source '../templates/desk.properties.erb'
  owner 'root'
  group 'tomcat'
  mode '0640'
  notifies :restart, 'service[tomcat10]'
end

# Nothing but the application is served.
directory '/var/lib/tomcat10/webapps/ROOT' do
  action :delete
end

%w[/etc/tomcat10/Catalina /etc/tomcat10/Catalina/localhost].each do |path|
  directory path do
    owner 'root'
    group 'tomcat'
    mode '0750'
  end
end

template '/etc/tomcat10/Catalina/localhost/ROOT.xml' do
  source '../templates/ROOT.xml.erb'
  owner 'root'
  group 'tomcat'
  mode '0640'
  notifies :restart, 'service[tomcat10]'
end

service 'tomcat10' do
  action :start
end
