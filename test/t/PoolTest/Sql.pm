# Sql.pm
#	Statements, in sessions of their own or in one that stays, and the questions
#	that many tests ask.

package PoolTest::Sql;

use strict;
use warnings;

use Exporter qw(import);

use PoolTest::Session;

our @EXPORT = qw(
  session sql sql_state select_42 stat_of worker_pid app_sessions
  terminate_app_sessions
);

sub session
{
	return PoolTest::Session->new(@_);
}

# sql(node, statement, how): its output; how: db, user.  Here and below a session
# may take the place of the node, which is sooner answered.
sub sql
{
	my ($node, $statement, %how) = @_;
	my ($code, $out, $err) = _psql($node, $statement, %how);

	die "$statement\nfailed: $err" if $code;
	return $out;
}

# sql_state(node, statement, how): SQLSTATE (00000 if it worked), what came on
# standard error, and the output
sub sql_state
{
	my ($node, $statement, %how) = @_;
	my ($code, $out, $err) = _psql($node, $statement, %how);

	return (PoolTest::Session::state_in($err), $err, $out);
}

sub _psql
{
	my ($node, $statement, %how) = @_;
	my $db = $how{db} || 'postgres';
	my @result;

	if ($node->isa('PoolTest::Session'))
	{
		my $answer = $node->query($statement);
		my $failed = $answer->{state} ne '00000';

		# What psql prints is compared with what it prints in a session of its own.
		return ($failed, $answer->{out}, $answer->{err});
	}

	# A psql that cannot connect may have ended before it is handed the statement,
	# more often on a busy machine; then nothing was executed.
	foreach (1 .. 10)
	{
		@result = eval {
			$node->psql(
				$db, $statement,
				connstr => $node->connstr($db)
				  . ($how{user} ? " user=$how{user}" : ''),
				extra_params => [ '-v', 'VERBOSITY=verbose' ]);
		};
		last if $@ !~ /Broken pipe/;
	}
	die $@ if $@;
	return @result;
}

# select_42(server): a query that is answered with 42 by way of that server
sub select_42
{
	my ($server) = @_;

	return "SELECT t FROM pool_query('$server', 'select 42') AS r(t int)";
}

# stat_of(local, expression, server): of the row of pool_stats_all(), which has
# everything that the views show
sub stat_of
{
	my ($local, $expression, $server) = @_;

	$server = 'srv' if !defined $server;
	return sql($local,
		"SELECT $expression FROM pool_stats_all() WHERE server = '$server'"
		  . " AND database = 'postgres'");
}

# worker_pid(local): of the only worker, or of all, one on each line
sub worker_pid
{
	my ($local) = @_;

	return sql($local,
		q(SELECT pid FROM pg_stat_activity WHERE backend_type = 'pool worker'));
}

# app_sessions(remote, condition): sessions of role app there
sub app_sessions
{
	my ($remote, $condition) = @_;

	$condition = $condition ? "AND $condition" : '';
	return sql($remote,
		"SELECT count(*) FROM pg_stat_activity WHERE usename = 'app' $condition"
	);
}

# terminate_app_sessions(remote): end them all, and say how many there were
sub terminate_app_sessions
{
	my ($remote) = @_;

	return sql($remote,
		q(SELECT count(pg_terminate_backend(pid, 60000)) FROM pg_stat_activity
		WHERE usename = 'app'));
}

1;
