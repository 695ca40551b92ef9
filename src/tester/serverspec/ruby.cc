#include "tester/serverspec/ruby.h"

namespace kiln {

const char* const rspec_formatter = R"RUBY(# Written by kiln.
require 'json'
require 'rspec/core'

class KilnFormatter
  RSpec::Core::Formatters.register self, :example_passed, :example_failed, :example_pending, :message, :dump_summary

  def initialize(output)
    @output = output
    @messages = []
  end

  def example_passed(notification)
    tell(notification.example, 'passed', nil)
  end

  def example_failed(notification)
    tell(notification.example, 'failed', text_of(notification.example.execution_result.exception))
  end

  def example_pending(notification)
    result = notification.example.execution_result
    tell(notification.example, 'skipped', result.pending_message)
  end

  def message(notification)
    @messages << plain(notification.message)
  end

  def dump_summary(summary)
    put('outside' => summary.errors_outside_of_examples_count, 'message' => @messages.join("\n").strip)
    put('done' => summary.example_count)
  end

  private

  def tell(example, status, message)
    groups = example.example_group.parent_groups.reverse.map { |group| group.description.to_s }
    file, line = example.location.to_s.split(/:(?=\d+\z)/)
    put('status' => status, 'group' => groups.join(' '), 'name' => example.description.to_s, 'message' => message,
        'command' => example.metadata[:command], 'file' => file.to_s.sub(%r{\A\./}, ''), 'line' => line.to_i,
        'seconds' => example.execution_result.run_time.to_f)
  end

  def text_of(exception)
    return nil if exception.nil?
    all = exception.respond_to?(:all_exceptions) ? exception.all_exceptions : [exception]
    all.map do |one|
      expected = defined?(RSpec::Expectations) && one.is_a?(RSpec::Expectations::ExpectationNotMetError)
      plain(expected ? one.message : "#{one.class}: #{one.message}")
    end.join("\n")
  end

  def plain(text)
    text.to_s.encode('UTF-8', :invalid => :replace, :undef => :replace).scrub.gsub(/\e\[[0-9;]*m/, '').strip
  end

  def put(values)
    values = values.transform_values { |value| value.is_a?(String) ? plain(value) : value }
    @output.write("\n@#{ENV['KILN_NONCE']} #{JSON.generate(values)}\n")
    @output.flush
  end
end
)RUBY";

const char* const rspec_preamble = R"RUBY(# Written by kiln.
require 'serverspec'

module KilnTarget
  SSH = ENV['KILN_TARGET'] == 'ssh'

  # The machine decides whether it is reached by ssh or from within.
  module Backend
    def set(param, *value)
      value = [SSH ? :ssh : :exec] if param == :backend && [:ssh, :exec].include?(value.first)
      super(param, *value)
    end
  end

  def self.ours?(host)
    [ENV['KILN_SSH_HOST'], ENV['TARGET_HOST'], nil, ''].include?(host)
  end

  def self.options
    options = {
      :port => ENV['KILN_SSH_PORT'].to_i, :user => ENV['KILN_SSH_USER'], :verify_host_key => :never,
      :user_known_hosts_file => '/dev/null', :global_known_hosts_file => '/dev/null',
      :number_of_password_prompts => 0, :non_interactive => true, :timeout => 60
    }
    key = ENV['KILN_SSH_KEY'].to_s
    password = ENV['KILN_SSH_PASSWORD'].to_s
    options.update(:keys => [key], :keys_only => true) unless key.empty?
    options[:password] = password unless password.empty?
    options
  end

  # A spec_helper looks up TARGET_HOST in ssh's configuration, and mostly says who to log in as.
  module Config
    def for(host, *files)
      return super unless KilnTarget.ours?(host)
      KilnTarget.options.merge(:host_name => ENV['KILN_SSH_HOST'])
    end
  end

  module Start
    def start(host, user = nil, options = {}, &block)
      return super unless KilnTarget.ours?(host)
      super(ENV['KILN_SSH_HOST'], ENV['KILN_SSH_USER'], options.merge(KilnTarget.options), &block)
    end
  end
end

self.singleton_class.prepend(KilnTarget::Backend)
if KilnTarget::SSH
  require 'net/ssh'
  Net::SSH::Config.singleton_class.prepend(KilnTarget::Config)
  Net::SSH.singleton_class.prepend(KilnTarget::Start)
  set :backend, :ssh
  set :host, ENV['KILN_SSH_HOST']
  set :ssh_options, KilnTarget.options
  set :sudo_password, ENV['SUDO_PASSWORD'] unless ENV['SUDO_PASSWORD'].to_s.empty?
  set :disable_sudo, true if ENV['KILN_SUDO'] == 'no'
else
  set :backend, :exec
end
)RUBY";

}  // namespace kiln
