# What `cmake --install build --prefix P` puts where; P may be chosen then, and moved afterwards.
#
#   bin/tutti  bin/tutti-worker      find each other: the worker lies beside
#   lib/libtutti*.a                  what tutti::tutti links
#   lib/tutti/tutti-hostile.so       the member that tutti stress adds
#   lib/tutti/libtutti-jit.so        the compiler of tier 2, with -DTUTTI_JIT=ON
#   include/tutti/tutti.hpp          for C++ programs, with the headers that it includes beneath it
#   include/tutti/tutti_plugin.h     for authors of plug-ins, plain C
#   lib/cmake/tutti/                 find_package(tutti)
include(CMakePackageConfigHelpers)

set(package_directory ${CMAKE_INSTALL_LIBDIR}/cmake/tutti)
set(include_directory ${CMAKE_INSTALL_INCLUDEDIR}/tutti)

# Whoever links tutti needs its headers' language. CMake writes $<INSTALL_PREFIX> as a place relative to the
# package's own files, so that the worker is found wherever those are; see packaged_worker.hpp.
target_compile_features(tutti INTERFACE cxx_std_23)
target_compile_definitions(tutti INTERFACE
  $<INSTALL_INTERFACE:TUTTI_WORKER_PATH="$<INSTALL_PREFIX>/${CMAKE_INSTALL_BINDIR}/tutti-worker">)

install(TARGETS tutti-cli tutti-worker RUNTIME DESTINATION ${CMAKE_INSTALL_BINDIR})
install(TARGETS tutti-hostile LIBRARY DESTINATION ${CMAKE_INSTALL_LIBDIR}/tutti)
if(TUTTI_JIT)
  install(TARGETS tutti-jit LIBRARY DESTINATION ${CMAKE_INSTALL_LIBDIR}/tutti)
endif()
install(TARGETS tutti tutti_core tutti_config tutti_combine tutti_shared EXPORT tutti-targets
  ARCHIVE DESTINATION ${CMAKE_INSTALL_LIBDIR}
  INCLUDES DESTINATION ${CMAKE_INSTALL_INCLUDEDIR} ${include_directory})
install(EXPORT tutti-targets NAMESPACE tutti:: DESTINATION ${package_directory})

# tutti.hpp and what it includes, no more: everything else may change from one version to the next. The quoted
# paths in them ("shared/error.hpp") are found beneath include/tutti.
install(FILES supervisor/tutti.hpp shared/tutti_plugin.h DESTINATION ${include_directory})
install(FILES shared/cage.hpp shared/error.hpp shared/limits.hpp shared/tensor.hpp shared/tier_use.hpp DESTINATION ${include_directory}/shared)
install(FILES supervisor/packaged_worker.hpp supervisor/status.hpp DESTINATION ${include_directory}/supervisor)
install(FILES supervisor/config/config.hpp DESTINATION ${include_directory}/supervisor/config)
install(FILES supervisor/core/counters.hpp supervisor/core/time.hpp supervisor/core/vote.hpp DESTINATION ${include_directory}/supervisor/core)

configure_package_config_file(${CMAKE_CURRENT_LIST_DIR}/tutti-config.cmake.in
  ${PROJECT_BINARY_DIR}/package/tutti-config.cmake
  INSTALL_DESTINATION ${package_directory} NO_SET_AND_CHECK_MACRO)
# Before 1.0 the interface may change with each minor version.
write_basic_package_version_file(${PROJECT_BINARY_DIR}/package/tutti-config-version.cmake
  COMPATIBILITY SameMinorVersion)
install(FILES ${PROJECT_BINARY_DIR}/package/tutti-config.cmake
  ${PROJECT_BINARY_DIR}/package/tutti-config-version.cmake DESTINATION ${package_directory})
