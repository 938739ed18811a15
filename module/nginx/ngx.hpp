// nginx's C headers for C++, and the few conversions between both.
#pragma once

extern "C" {
#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_event.h>
#include <ngx_event_connect.h>
#include <ngx_http.h>
}

#include <cstddef>
#include <new>
#include <string_view>
#include <type_traits>
#include <utility>

extern "C" ngx_module_t ngx_http_rollout_module;

namespace rollout {

inline std::string_view view_of(const ngx_str_t &text) noexcept
{
    return {reinterpret_cast<const char *>(text.data), text.len};
}


/// For calls that take an ngx_str_t but do not write to it.
inline ngx_str_t str_of(std::string_view text) noexcept
{
    return {text.size(), reinterpret_cast<u_char *>(const_cast<char *>(text.data()))};
}


/// Returns whether the two are equal, ignoring case.
inline bool same_word(std::string_view one, std::string_view other) noexcept
{
    return one.size() == other.size() && ngx_strncasecmp(str_of(one).data, str_of(other).data, one.size()) == 0;
}


/// Returns a copy in the pool; its data is null if out of memory.
inline ngx_str_t copy_to_pool(ngx_pool_t *pool, std::string_view text) noexcept
{
    ngx_str_t copy = {text.size(), static_cast<u_char *>(ngx_pnalloc(pool, text.empty() ? 1 : text.size()))};
    if (copy.data != nullptr) {
        text.copy(reinterpret_cast<char *>(copy.data), text.size());
    }
    return copy;
}


/// Creates an object that lives as long as the pool. It must not need a destructor: the pool calls none.
template <class T, class... Args>
T *make_in_pool(ngx_pool_t *pool, Args &&...args) noexcept
{
    static_assert(std::is_trivially_destructible_v<T>);
    void *memory = ngx_pcalloc(pool, sizeof(T));
    return memory != nullptr ? new (memory) T{std::forward<Args>(args)...} : nullptr;
}


/// Finds what hangs on the pool's cleanup with that handler, which marks it; null if there is none. For what must outlive an internal
/// redirect, which clears a request's contexts.
template <class T>
T *find_in_pool(const ngx_pool_t *pool, ngx_pool_cleanup_pt mark) noexcept
{
    for (const ngx_pool_cleanup_t *cleanup = pool->cleanup; cleanup != nullptr; cleanup = cleanup->next) {
        if (cleanup->handler == mark) {
            return static_cast<T *>(cleanup->data);
        }
    }
    return nullptr;
}


/// Allocates from a pool, as a record_store's reads require; returns null if out of memory.
class pool_memory {
  public:
    explicit pool_memory(ngx_pool_t *pool) noexcept : pool_(pool) {}

    unsigned char *operator()(std::size_t size) const noexcept
    {
        return static_cast<unsigned char *>(ngx_pnalloc(pool_, size));
    }

  private:
    ngx_pool_t *pool_;
};


/// Returns whether that time has passed. It is in ngx_current_msec's time, which wraps around.
inline bool is_past(ngx_msec_t time) noexcept
{
    return static_cast<ngx_msec_int_t>(ngx_current_msec - time) > 0;
}

} // namespace rollout
