# FanOut.pm
#	Many servers at one remote, where app.me tells which of them asks, and statements
#	that wait there for a lock of that number until a test lets them go on.

package PoolTest::FanOut;

use strict;
use warnings;

use Exporter qw(import);
use PoolTest;
use PoolTest::Nodes qw($password $remote_db);
use Test::More;

our @EXPORT = qw(
  create_servers list_of ask_all ask_any rows_of $me $wait hold leave wait_at_locks
  wait_for_requests no_request
);

# Which server asks, and a text when its lock is free.  Each holds up the server of
# that number only, and nobody else who waits.
our $me = q(current_setting('app.me')::int);
our $wait = "pg_advisory_xact_lock_shared($me)::text";

my $keeper;

# create_servers(local, remote, prefix, numbers, options): PREFIX1 and so on
sub create_servers
{
	my ($local, $remote, $prefix, $numbers, %options) = @_;
	my %all = (host => '127.0.0.1', port => $remote->port, dbname => $remote_db, %options);
	my $list = join ', ', map { "$_ '$all{$_}'" } sort keys %all;

	sql($local, join "\n", map {
		"CREATE SERVER $prefix$_ FOREIGN DATA WRAPPER pool OPTIONS ($list,"
		  . " options '-c app.me=$_');"
		  . "CREATE USER MAPPING FOR CURRENT_USER SERVER $prefix$_"
		  . " OPTIONS (user 'app', password '$password');"
	} @$numbers);
	$keeper = session($remote, db => $remote_db);
	return map { "$prefix$_" } @$numbers;
}

# list_of(server...): as a literal
sub list_of { return q('{) . join(',', @_) . q(}'); }

# ask_all(servers, statement, columns, more): of pool_query_all(); "more" are arguments
# by name
sub ask_all
{
	my ($servers, $statement, $columns, $more) = @_;

	return sprintf 'SELECT * FROM pool_query_all(%s, $q$%s$q$%s)'
	  . ' AS t(server text, sqlstate text, error text%s)', list_of(@$servers), $statement,
	  $more ? ", $more" : '', $columns ? ", $columns" : '';
}

# ask_any(servers, statement, columns, more): of pool_query_any()
sub ask_any
{
	my ($servers, $statement, $columns, $more) = @_;

	return sprintf 'SELECT * FROM pool_query_any(%s, $q$%s$q$%s) AS t(%s)', list_of(@$servers),
	  $statement, $more ? ", $more" : '', $columns;
}

# rows_of(answer): what a session got, in an order of its own
sub rows_of
{
	my ($answer) = @_;

	return $answer->{state} eq '00000'
	  ? join ' ', sort split /\n/, $answer->{out}
	  : "$answer->{state}: $answer->{err}";
}

# hold(number...), leave(number...): locks
sub hold { $keeper->query("SELECT pg_advisory_lock($_)") foreach @_; return; }
sub leave { $keeper->query("SELECT pg_advisory_unlock($_)") foreach @_; return; }

# wait_at_locks(remote, count, what): a test
sub wait_at_locks
{
	my ($remote, $count, $what) = @_;

	local $Test::Builder::Level = $Test::Builder::Level + 1;
	return wait_for_app_sessions($remote, $count, $what,
		condition => q(wait_event = 'advisory'), seconds => 60);
}

# wait_for_requests(local, list, what): a test: soon these are the servers, and states,
# of all requests
sub wait_for_requests
{
	my ($local, $list, $what) = @_;

	local $Test::Builder::Level = $Test::Builder::Level + 1;
	return wait_for_value($local,
		q(SELECT string_agg(server || ' ' || state, ', ' ORDER BY server, state)
		  FROM pool_requests), $list, $what, seconds => 60);
}

# no_request(local, what): a test
sub no_request
{
	my ($local, $what) = @_;

	local $Test::Builder::Level = $Test::Builder::Level + 1;
	return is(sql($local, 'SELECT count(*) FROM pool_requests'), 0, "$what: no request is left");
}

END { $keeper->quit if $keeper; }

1;
