# PoolTest.pm
#	What the tests here share: a local server with pool and a remote one, psql
#	sessions that can be left waiting, ways to wait for a state, and what must
#	hold at the end of a test.  Each is in a module under PoolTest/; a test uses
#	this one and has them all.

package PoolTest;

use strict;
use warnings;

use Exporter qw(import);

use PoolTest::Checks;
use PoolTest::Nodes qw(:DEFAULT hba $password $remote_db $tls);
use PoolTest::Process;
use PoolTest::Sql;
use PoolTest::Wait;

# For mutants.sh, which asks only whether a test fails: the first failure is enough.
if ($ENV{POOL_TEST_FIRST_FAILURE})
{
	require Test2::API;
	Test2::API::test2_stack()->top->listen(sub { exit 1 if $_[1]->causes_fail });
}

our @EXPORT = (
	@PoolTest::Checks::EXPORT, @PoolTest::Nodes::EXPORT, @PoolTest::Process::EXPORT,
	@PoolTest::Sql::EXPORT, @PoolTest::Wait::EXPORT);

1;
