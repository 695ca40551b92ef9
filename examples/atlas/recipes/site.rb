# The node file says which recipes make the machine.
node['recipes'].each { |name| include_recipe "./#{name}.rb" }
