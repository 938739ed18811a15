// A reference to a function, valid during the call that it is passed to. Unlike a std::function it allocates no
// memory, which may be exhausted.
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
