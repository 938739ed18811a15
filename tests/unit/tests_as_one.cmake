# Writes the one source that the tests of a folder are compiled as: what they include, then each in a namespace of its own, so that their names
# do not meet, and a main function that runs the test that its argument names.
#
# usage: cmake -P tests_as_one.cmake SOURCE TEST.cpp...
set(source ${CMAKE_ARGV3})
set(includes "")
set(tests "")
set(calls "")
math(EXPR last "${CMAKE_ARGC} - 1")
foreach(index RANGE 4 ${last})
  set(path ${CMAKE_ARGV${index}})
  cmake_path(GET path STEM name)
  string(REGEX REPLACE "_test$" "" name ${name})
  set(space test_of_${name})
  file(STRINGS ${path} lines REGEX "^#include ")
  list(APPEND includes ${lines})
  string(APPEND tests "namespace ${space} {\n#include \"${path}\"\n}\n")
  string(APPEND calls "    if (name == \"${name}\") {\n        return ${space}::main();\n    }\n")
endforeach()
list(REMOVE_DUPLICATES includes)
list(JOIN includes "\n" includes)
file(WRITE ${source} "\
${includes}
#include <cstdio>
#include <string_view>

${tests}

int main(int count, char **arguments)
{
    const std::string_view name = count == 2 ? arguments[1] : \"\";
${calls}\
    std::fprintf(stderr, \"usage: %s TEST\\n\", arguments[0]);
    return 2;
}
")
