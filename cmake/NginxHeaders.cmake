# nginx_headers: an interface library with what a dynamic module needs of nginx, which is headers alone: those of its
# source and the ngx_auto_config.h that its configure writes.
#
# With NGINX_SOURCE_DIR, of a source that was configured already. By default, of Debian's nginx-dev, whose configure is run
# here, in a copy (it writes beside itself), with the flags that the package keeps of its own build.

set(_objs "")

if(NGINX_SOURCE_DIR)
  set(_source ${NGINX_SOURCE_DIR})
  set(_objs ${NGINX_SOURCE_DIR}/objs)
  if(NOT EXISTS ${_objs}/ngx_auto_config.h)
    message(FATAL_ERROR "${NGINX_SOURCE_DIR} is not configured: there is no objs/ngx_auto_config.h. Run its ./configure "
      "with the flags that `nginx -V` prints of the nginx that shall load the module, --with-compat among them.")
  endif()
else()
  set(_package /usr/share/nginx/src)
  if(NOT EXISTS ${_package}/conf_flags)
    message(FATAL_ERROR "nginx's headers are missing: install the package nginx-dev, or give a configured source with "
      "-DNGINX_SOURCE_DIR=.")
  endif()
  set(_source ${CMAKE_BINARY_DIR}/nginx)
  set(_objs ${_source}/objs)
  file(SHA256 ${_package}/conf_flags _flags_sum)
  file(SHA256 ${_package}/src/core/nginx.h _version_sum)
  set(_stamp "${_flags_sum}${_version_sum}$ENV{CC}")
  # Written last, so that what is there with it is whole.
  set(_kept ${_source}/stamp)
  # The builds of one tree share what one of them has configured, which takes half a minute.
  file(GLOB _others ${PROJECT_SOURCE_DIR}/build*/nginx/stamp)
  set(_configured "")
  foreach(_other ${_kept} ${_others})
    if(EXISTS ${_other} AND NOT _configured)
      file(READ ${_other} _other_stamp)
      if(_other_stamp STREQUAL _stamp)
        cmake_path(GET _other PARENT_PATH _configured)
      endif()
    endif()
  endforeach()
  if(NOT _configured)
    message(STATUS "Configuring nginx's headers in ${_source}")
    file(REMOVE_RECURSE ${_source})
    file(COPY ${_package}/ DESTINATION ${_source})
    execute_process(
      COMMAND bash -c ". ./conf_flags && ./configure \"\${NGX_CONF_FLAGS[@]}\" --builddir=objs"
      WORKING_DIRECTORY ${_source} OUTPUT_FILE ${_source}/configure.log ERROR_FILE ${_source}/configure.log
      RESULT_VARIABLE _failed)
    if(_failed OR NOT EXISTS ${_objs}/ngx_auto_config.h)
      message(FATAL_ERROR "nginx's configure failed; ${_source}/configure.log says why.")
    endif()
    file(WRITE ${_kept} "${_stamp}")
  elseif(NOT _configured STREQUAL _source)
    message(STATUS "Taking nginx's headers as they are configured in ${_configured}")
    file(REMOVE_RECURSE ${_source})
    file(COPY ${_configured}/ DESTINATION ${_source} PATTERN stamp EXCLUDE)
    file(WRITE ${_kept} "${_stamp}")
  endif()
endif()

file(STRINGS ${_objs}/ngx_auto_config.h _compat REGEX "define NGX_COMPAT")
if(NOT _compat)
  message(WARNING "nginx in ${_source} was configured without --with-compat: the module will load only into an nginx of "
    "exactly the same configuration.")
endif()

add_library(nginx_headers INTERFACE)
target_include_directories(nginx_headers SYSTEM INTERFACE ${_objs} ${_source}/src/core ${_source}/src/event
  ${_source}/src/event/modules ${_source}/src/os/unix ${_source}/src/http ${_source}/src/http/modules
  ${_source}/src/http/v2 ${_source}/src/http/v3 ${_source}/src/event/quic)
