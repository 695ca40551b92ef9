#include "kit/aws_watch.h"

#include <fmt/format.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <algorithm>
#include <functional>
#include <vector>

#include "base/fd.h"

namespace kiln {

namespace {

/// The most values a filter takes.
constexpr size_t most_at_once = 200;

void raise_event(const Fd& event) {
  uint64_t one = 1;
  [[maybe_unused]] auto written = ::write(event.get(), &one, sizeof one);
}

void lower_event(const Fd& event) {
  uint64_t value = 0;
  [[maybe_unused]] auto count = ::read(event.get(), &value, sizeof value);
}

struct Question {
  const char* action;
  const char* id_parameter;  ///< for one: "InstanceId"
  const char* id_filter;     ///< for several, since one that is not known is no error of a filter
};
constexpr Question instance_question{"DescribeInstances", "InstanceId.1", "instance-id"};
constexpr Question image_question{"DescribeImages", "ImageId.1", "image-id"};

AwsParameters question_parameters(const Question& question, const std::vector<std::string>& ids) {
  if (ids.size() == 1) return {{question.id_parameter, ids[0]}};
  AwsParameters parameters{{"Filter.1.Name", question.id_filter}};
  for (size_t i = 0; i < ids.size(); ++i) parameters[fmt::format("Filter.1.Value.{}", i + 1)] = ids[i];
  return parameters;
}

std::map<std::string, AwsElement> by_id(const AwsElement& answer) {
  std::map<std::string, AwsElement> found;
  for (const AwsElement* image : answer.items("imagesSet")) found[image->text_at("imageId")] = *image;
  for (const AwsElement* reservation : answer.items("reservationSet")) {
    for (const AwsElement* instance : reservation->items("instancesSet"))
      found[instance->text_at("instanceId")] = *instance;
  }
  return found;
}

}  // namespace

struct AwsWatch::Rounds {
  /// Those who ask together. What is told to all is written before `told` is readable; the rest belongs to the queue's
  /// lock.
  struct Round {
    std::vector<std::string> ids;
    int waiting = 0;      ///< how many wait for it, its leader not counted
    bool handed = false;  ///< its turn has come: one of those who wait shall lead it
    bool led = false;     ///< and one does

    std::map<std::string, AwsElement> found;
    std::function<void()> fail;  ///< throws what went wrong: to each who waited an error of its own
    bool abandoned = false;  ///< whoever asked for all was stopped: ask again

    Fd turn{::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)};  ///< readable once handed, until it is led
    Fd told{::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)};  ///< stays readable

    Round() {
      if (!turn.is_open() || !told.is_open()) throw_errno("eventfd");
    }
  };
  using RoundPtr = std::shared_ptr<Round>;

  /// One kind of thing in one account and region.
  struct Queue {
    bool busy = false;
    std::vector<RoundPtr> waiting;  ///< in the order in which they will be asked for
  };

  Guarded<std::map<std::string, Queue>> queues;

  /// The round that this id is asked for in; whoever finds nobody at work leads it.
  RoundPtr join(const std::string& key, const std::string& id, bool& leads) {
    return queues.with([&](auto& all) {
      Queue& queue = all[key];
      leads = !queue.busy;
      if (leads) {
        queue.busy = true;
        auto round = std::make_shared<Round>();
        round->ids.push_back(id);
        return round;
      }
      bool full = queue.waiting.empty() || queue.waiting.back()->ids.size() >= most_at_once;
      if (full) queue.waiting.push_back(std::make_shared<Round>());
      RoundPtr round = queue.waiting.back();
      ++round->waiting;
      if (std::find(round->ids.begin(), round->ids.end(), id) == round->ids.end()) round->ids.push_back(id);
      return round;
    });
  }

  /// One who waited wants to lead: only one of them may.
  bool claim(const RoundPtr& round) {
    return queues.with([&](auto&) {
      if (!round->handed || round->led) return false;
      round->led = true;
      --round->waiting;
      lower_event(round->turn);
      return true;
    });
  }

  /// One who waited gives up. Were it the last when the turn comes, nobody would be there to lead.
  void leave(const std::string& key, const RoundPtr& round) {
    queues.with([&](auto& all) {
      --round->waiting;
      if (round->handed && !round->led && round->waiting == 0) hand_on_locked(all[key]);
    });
  }

  /// The next round in which anybody waits gets its turn.
  static void hand_on_locked(Queue& queue) {
    while (!queue.waiting.empty()) {
      RoundPtr next = queue.waiting.front();
      queue.waiting.erase(queue.waiting.begin());
      if (next->waiting == 0) continue;
      next->handed = true;
      raise_event(next->turn);
      return;
    }
    queue.busy = false;
  }

  void lead(const std::string& key, const RoundPtr& round, const Question& question, AwsClient& client,
            const std::string& region, const Deadline& deadline, const Stop& stop) {
    try {
      round->found = by_id(
          client.query("ec2", question.action, question_parameters(question, round->ids), deadline, stop, region));
    } catch (const AwsError& error) {
      if (error.failure() != AwsFailure::missing) round->fail = [error] { throw error; };
    } catch (const Error& error) {
      round->fail = [error] { throw error; };
      round->abandoned = error.kind() == ErrorKind::cancelled || error.kind() == ErrorKind::timeout;
    }
    queues.with([&](auto& all) { hand_on_locked(all[key]); });  // the lock publishes what was found
    raise_event(round->told);
  }

  std::optional<AwsElement> ask(const Question& question, AwsClient& client, const std::string& region,
                                const std::string& id, const Deadline& deadline, const Stop& stop) {
    const std::string& access_key = client.credentials(deadline, stop).keys.access_key;
    std::string key =
        fmt::format("{} {} {} {}", question.action, access_key, region, client.settings().endpoints.custom);
    while (true) {
      bool leads = false;
      RoundPtr round = join(key, id, leads);
      while (!leads) {
        pollfd fds[2] = {{round->told.get(), POLLIN, 0}, {round->turn.get(), POLLIN, 0}};
        try {
          if (wait(fds, deadline, stop) == Woke::deadline) throw Error(ErrorKind::timeout, "AWS was not asked in time");
        } catch (const Error&) {
          leave(key, round);
          throw;
        }
        if (fds[0].revents != 0) {
          queues.with([](auto&) {});  // and is taken before it is read
          break;
        }
        leads = claim(round);
      }
      if (leads) lead(key, round, question, client, region, deadline, stop);
      if (round->abandoned && !leads) continue;
      if (round->fail) round->fail();
      auto found = round->found.find(id);
      return found == round->found.end() ? std::nullopt : std::optional(found->second);
    }
  }
};

AwsWatch::AwsWatch() : rounds_(std::make_unique<Rounds>()) {}
AwsWatch::~AwsWatch() = default;

std::optional<AwsElement> AwsWatch::instance(AwsClient& client, const std::string& id, const Deadline& deadline,
                                             const Stop& stop) {
  return rounds_->ask(instance_question, client, client.settings().region, id, deadline, stop);
}

std::optional<AwsElement> AwsWatch::image(AwsClient& client, const std::string& region, const std::string& id,
                                          const Deadline& deadline, const Stop& stop) {
  return rounds_->ask(image_question, client, region, id, deadline, stop);
}

}  // namespace kiln
