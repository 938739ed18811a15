# The compiler's and the linker's flags of Debian's own packages, with all of its hardening.
foreach(_pair CFLAGS:CMAKE_C_FLAGS CXXFLAGS:CMAKE_CXX_FLAGS LDFLAGS:CMAKE_EXE_LINKER_FLAGS LDFLAGS:CMAKE_MODULE_LINKER_FLAGS)
  string(REPLACE ":" ";" _pair ${_pair})
  list(GET _pair 0 _name)
  list(GET _pair 1 _variable)
  execute_process(COMMAND ${CMAKE_COMMAND} -E env DEB_BUILD_MAINT_OPTIONS=hardening=+all dpkg-buildflags --get ${_name}
    WORKING_DIRECTORY ${PROJECT_SOURCE_DIR} OUTPUT_VARIABLE _flags OUTPUT_STRIP_TRAILING_WHITESPACE COMMAND_ERROR_IS_FATAL ANY)
  if(_name MATCHES "CX*FLAGS")
    string(APPEND _flags " -Wdate-time -D_FORTIFY_SOURCE=2 -DNDEBUG")
  endif()
  set(${_variable} "${${_variable}} ${_flags}")
endforeach()
