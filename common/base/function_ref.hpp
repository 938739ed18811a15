// A function, for the time of a call that it is handed to: a std::function would take memory of its own, where there may be
// none left.
#pragma once

namespace rollout {

template <class Signature>
class function_ref;

template <class Result, class... Arguments>
class function_ref<Result(Arguments...)> {
  public:
    template <class Function>
    function_ref(const Function &function) noexcept
        : function_(&function), call_([](const void *of, Arguments... arguments) -> Result {
              return (*static_cast<const Function *>(of))(arguments...);
          })
    {
    }

    Result operator()(Arguments... arguments) const { return call_(function_, arguments...); }

  private:
    const void *function_;
    Result (*call_)(const void *, Arguments...);
};

} // namespace rollout
