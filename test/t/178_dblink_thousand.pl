# 178_dblink_thousand.pl
#	As 178_dblink_sessions, with a thousand sessions.
#
# Runs in the plain round only.
# Runs with --long only.

use strict;
use warnings;

use FindBin;
use lib $FindBin::RealBin;
use PoolTest; # too late for its INIT blocks in what is done below

$ENV{POOL_TEST_SESSIONS} ||= 1000;
my $test = "$FindBin::RealBin/178_dblink_sessions.pl";
do $test or die "cannot run $test: " . ($@ || $!);
