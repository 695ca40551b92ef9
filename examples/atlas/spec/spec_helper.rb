require 'json'
require 'serverspec'

set :backend, :exec

# The node file is what the machine was made from, so it is what it is held to.
def node
  @node ||= JSON.parse(File.read(File.expand_path("../nodes/#{ENV.fetch('TARGET_NODE', 'default')}.json", __dir__)))
end
