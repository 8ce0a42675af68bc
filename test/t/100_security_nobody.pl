# 100_security_nobody.pl
#	A role that has no right but to connect tries everything there is: each function
#	of the extension, each view, its wrapper, another's server and mapping, and each
#	setting.  What there is comes from the catalogs, and what must become of it from
#	lists here, so that nothing new is forgotten.  Meanwhile another role holds a
#	lease and waits for a second one, and must not notice.
#
# Runs in the plain round only.

use strict;
use warnings;

use FindBin;
use lib $FindBin::RealBin;
use PoolTest;
use Test::More;

my $remote = start_remote();
my $local = start_local();
sql($local, "CREATE ROLE $_ LOGIN") foreach 'alice', 'nobody';
create_server($local, 'srv', $remote, for => 'alice',
	options => { max_size => 1, acquire_timeout => '20min' });
sql($local, 'GRANT USAGE ON FOREIGN SERVER srv TO alice');

# What the role must not get at: a lease, and a session that waits.
my ($holder, $waiter) = map { session($local, user => 'alice') } 1, 2;
my $lease = $holder->acquire('srv');
$waiter->begin(select_42('srv'));
wait_for_waiters($local, 1, 'one session of alice holds the only connection, another waits');
my $slot = sql($local, q(SELECT slot FROM pool_connections WHERE state = 'leased'));

# members(catalog, expression): of the extension, of each that is in that catalog
sub members
{
	my ($catalog, $expression) = @_;

	return split /\n/, sql($local, <<"SQL");
SELECT $expression FROM $catalog c JOIN pg_depend d ON d.objid = c.oid
	AND d.classid = '$catalog'::regclass AND d.deptype = 'e'
JOIN pg_extension e ON d.refobjid = e.oid AND e.extname = 'pool' ORDER BY 1
SQL
}

# tries(statement): what becomes of it when the role tries
sub tries
{
	return sql_state($local, "SET statement_timeout = '60s'; $_[0]", user => 'nobody');
}

#
# Functions: with arguments that name the server, lease, slot and process of alice
#
my %argument = (
	text => q('srv'),
	bigint => $lease,
	integer => $slot,
	boolean => 'true',
	interval => q('1 second'),
	oid => q('pg_foreign_server'::regclass),
	'text[]' => q(ARRAY['srv']),
	'bigint[]' => "ARRAY[$lease]",
	'regtype[]' => q(VARIADIC '{}'::regtype[]),
	'"any"' => '1');
my $refused = '42501';         # for want of a right
my $unknown = '42704';         # the lease of another session, as if there was none
my $empty = '00000';           # no error, and no row
my %outcome = (
	(map { ("$_(text,text)" => $refused, "$_(bigint,text)" => $unknown) }
		map { ($_, "$_+") } 'pool_query', 'pool_query_json', 'pool_exec', 'pool_send'),
	(map { ("pool_$_(bigint)" => $unknown) } 'poll', 'result', 'result_json', 'abandon'),
	'pool_wait(bigint[],integer,interval)' => $unknown,
	(map { ("pool_query_$_(text[],text,text[],text,integer,interval)" => $refused) }
		'all', 'all_json'),
	'pool_query_any(text[],text,text[],interval)' => $refused,
	'pool_columns(text,text)' => $refused,
	'pool_create_view(text,text,text)' => $refused,
	'pool_create_function(text,text,text,regtype[])' => $refused,
	'pool_acquire(text,interval,boolean)' => $refused,
	'pool_release(bigint)' => $unknown,
	'pool_prewarm(text,integer)' => $refused,
	'pool_resize(text,integer,integer)' => $refused,
	(map { ("pool_$_(text)" => $refused) }
		'resume', 'reconnect', 'close', 'breaker_reset', 'stats_reset'),
	'pool_pause(text,boolean)' => $refused,
	'pool_drain(text,interval)' => $refused,
	(map { ("pool_$_(integer)" => $refused) } 'cancel', 'reclaim'),
	(map { ("pool_$_()" => $empty) } 'stats_all', 'connections', 'waiters',
		'requests'),
	'pool_metrics()' => $refused,
	'pool_histogram(text,integer)' => $empty,
	'pool_fdw_validator(text[],oid)' => $empty);

my @functions = members('pg_proc',
	q(proname || '|' || (SELECT coalesce(string_agg(format_type(t, NULL), ',' ORDER BY n), '')
		FROM unnest(proargtypes) WITH ORDINALITY a(t, n))));
my %found;
foreach my $function (@functions)
{
	my ($name, $list) = split /\|/, $function, -1;
	my @types = split /,/, $list;
	my @values = map { $argument{$_} } @types;
	my $variadic = $list =~ s/,"any"$//;
	my $what = $name . ($variadic ? '+' : '') . "($list)";

	$found{$what} = 1;
	$values[0] = $holder->pid if $name eq 'pool_cancel';
	$values[1] = 1 if $name eq 'pool_histogram';
	$values[0] = q(ARRAY['host=x']) if $name eq 'pool_fdw_validator';
	$values[3] = q('row') if $name =~ /^pool_query_all/;
	if (!exists $outcome{$what} || grep { !defined } @values)
	{
		fail("it is known what becomes of $what");
		next;
	}
	my ($state, $err, $out) = tries("SELECT * FROM $name(" . join(', ', @values) . ')'
		  . ($name =~ /^pool_(query|result)/ && $name !~ /json/ ? ' AS t(a text)' : ''));
	is($state, $outcome{$what}, "$what: $outcome{$what} for a role without rights")
	  or diag($err);
	like($out, qr/^$/, "$what returns nothing to a role without rights");
}
is_deeply([ sort keys %found ], [ sort keys %outcome ],
	'the functions of the extension are those that are known here');

#
# Views: nothing to see, and nothing to write
#
foreach my $view (members('pg_class', 'relname'))
{
	my ($state, $err, $out) = tries("SELECT * FROM $view");
	is("$state$out", '00000', "$view shows nothing to a role without rights");
	foreach my $command ("DELETE FROM $view", "INSERT INTO $view DEFAULT VALUES",
		"TRUNCATE $view", "UPDATE $view SET server = 'x'", "DROP VIEW $view",
		"CREATE OR REPLACE VIEW $view AS SELECT 1")
	{
		($state) = tries($command);
		like($state, qr/^(42501|55000|42809)$/, "a role without rights cannot: $command");
	}
}

#
# Servers and mappings: what is another's is not to be made, changed, or read
#
foreach my $command (
	q(CREATE SERVER mine FOREIGN DATA WRAPPER pool OPTIONS (host '127.0.0.1')),
	q(CREATE USER MAPPING FOR nobody SERVER srv OPTIONS (user 'app', password 'x')),
	q(CREATE USER MAPPING FOR PUBLIC SERVER srv OPTIONS (user 'app', password 'x')),
	q(ALTER USER MAPPING FOR alice SERVER srv OPTIONS (SET password 'x')),
	'DROP USER MAPPING FOR alice SERVER srv',
	q(ALTER SERVER srv OPTIONS (SET host 'evil.test')),
	'ALTER SERVER srv OWNER TO nobody',
	'DROP SERVER srv CASCADE',
	'ALTER FOREIGN DATA WRAPPER pool NO VALIDATOR',
	'ALTER FOREIGN DATA WRAPPER pool OWNER TO nobody',
	'GRANT USAGE ON FOREIGN DATA WRAPPER pool TO nobody',
	'DROP EXTENSION pool CASCADE',
	'CREATE FOREIGN TABLE t (a int) SERVER srv')
{
	my ($state, $err) = tries($command);
	like($state, qr/^(42501|0A000)$/, "a role without rights cannot: $command") or diag($err);
}
my ($state, $err, $out) = tries(
	q(SELECT count(*) FROM pg_user_mappings WHERE umoptions IS NOT NULL));
is($out, '0', 'a role without rights sees no options of a mapping');
($state) = tries('SELECT umoptions FROM pg_user_mapping');
is($state, '42501', 'a role without rights cannot read the catalog of mappings');

#
# Settings: those that are for oneself can be set, and no others
#
my %own = map { ("pool.$_" => 1) } 'acquire_timeout', 'priority', 'session_cache',
  'spin_time', 'max_parallel', 'request_timeout', 'max_result_size';
foreach my $row (split /\n/,
	sql($local, q(SELECT name || ' ' || setting FROM pg_settings WHERE name LIKE 'pool.%')))
{
	my ($name, $value) = split / /, $row, 2;

	($state) = tries("SET $name = '$value'");
	like($state, $own{$name} ? qr/^00000$/ : qr/^(42501|55P02)$/,
		"$name is " . ($own{$name} ? '' : 'not ') . 'for everybody to set');
}

#
# Nobody has noticed.
#
is(sql($local, q(SELECT active, waiting, queries, acquire_failures, acquire_timeouts
	FROM pool_stats)), '1|1|0|0|0',
	'the lease and the waiter are as they were, and no other pool has come');
is($holder->query("SELECT t FROM pool_query($lease, 'select 3') AS r(t int)")->{out}, '3',
	'the lease works as before');
$holder->release($lease);
is($waiter->result->{out}, '42', 'the session that waited is served');
$_->quit foreach $holder, $waiter;
at_rest($local, $remote, 'at the end');
no_crash($local, $remote);

done_testing();
