#!lua flags=no-writes
-- What is left of an owner's quota; see window.lua.
-- ARGV  2 owner  3 quota  4 its window
return {window_left(of('q', ARGV[2]), tonumber(ARGV[3]), tonumber(ARGV[4]), now)}
