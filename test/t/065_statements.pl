# 065_statements.pl
#	What bounds a statement, and what is told of one that could not be run.
#
# Runs in the plain round only.

use strict;
use warnings;

use FindBin;
use lib $FindBin::RealBin;
use PoolTest;
use PoolTest::Servers;
use Test::More;

my $remote = start_remote();
my $local = start_local();
my $session = session($local);

sub server { return new_server($local, $remote, {@_}); }

# The remote sessions of a pool with as many idle connections
sub fill
{
	my ($server, $connections) = @_;
	my @leases = map { [ acquire_lease($session, $server) ] } 1 .. $connections;

	$session->release($_->[0]) foreach @leases;
	settled($local, "$connections connections of $server are idle");
	return map { $_->[1] } @leases;
}

#
# query_timeout, when the remotes of idle connections do not answer
#
sub run_while_stopped
{
	my ($statement, $validate_after_idle) = @_;
	my $server = server(
		query_timeout => '1s',
		health_check_timeout => '40s',
		validate_after_idle => $validate_after_idle,
		health_check_interval => 0);
	my @stopped = fill($server, 2);
	my $answer;

	kill 'STOP', @stopped;
	$answer = $session->query("SELECT pool_exec('$server', '$statement')", 30);
	kill 'CONT', @stopped;
	$session->result if $answer->{state} eq 'timeout';
	return $answer;
}

my $answer = run_while_stopped('select 1; select 2', '1h');
is($answer->{state}, '57014',
	'query_timeout holds for a string of several statements when the remote does not answer');
like($answer->{err}, qr/DETAIL: .*was not sent/, 'the error tells that it was not sent');
is(run_while_stopped($_, 0)->{out},
	1, "query_timeout bounds a validation, after which another connection runs: $_")
  foreach 'select 1', 'select 1; select 2';

#
# A reset that somebody wrote: it is bounded by health_check_timeout, and blamed
# when it goes wrong, and no statement is sent after it.
#
my %reset = (
	'takes too long' => [ 'select pg_sleep(100)', 'within 1000 ms' ],
	'begins a transaction' => [ 'begin', '"reset_query" has left a transaction open' ],
	'fails' => [ 'select 1/0', 'did not accept the reset .*division by zero' ]);
$remote->safe_psql('far', 'CREATE TABLE done (a text); GRANT ALL ON done TO app');
foreach my $what (sort keys %reset)
{
	foreach my $how ('a statement', 'a command', 'a string of several statements')
	{
		my ($query, $blame) = @{ $reset{$what} };
		my $server = server(reset_query => $query, health_check_timeout => '1s');
		my $insert = "insert into done values (''$what'')";
		my %statement = (
			'a statement' => $insert,
			'a command' => "explain analyze $insert",
			'a string of several statements' => "$insert; select 1");
		my $answer = $session->query("SELECT pool_exec('$server', '$statement{$how}')", 30);

		$session->result if $answer->{state} eq 'timeout';
		is($answer->{state}, '08006', "a reset that $what fails $how");
		like($answer->{err}, qr/DETAIL: .*$blame/, "a reset that $what is blamed for $how");
		like($answer->{err}, qr/HINT: .*not executed/, "the error tells that $how was not executed");
	}
}
is(sql($remote, 'SELECT count(*) FROM done', db => 'far'),
	0, 'no statement is executed after a reset that went wrong');

$session->quit;
settled($local);
remote_count($local, $remote);
no_crash($local, $remote);

done_testing();
