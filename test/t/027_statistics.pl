# 027_statistics.pl
#	What the views say is what has happened: a history of events, after each of
#	which the whole row of pool_stats is compared; the sums, also under load and
#	across a reset; who holds and who waits; who may see it; and what the log says.

use strict;
use warnings;

use FindBin;
use lib $FindBin::RealBin;
use JSON::PP;
use PoolTest;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Socket;
use Test::More;
use Time::HiRes qw(time);

my $remote = start_remote();
my $local = start_local();
my $control = session($local);
my ($one, $two, $three) = map { session($local) } 1 .. 3;
my $me = sql($local, 'SELECT current_user');
my $patience = 20;		# seconds

# Of pool_stats: what counts events, what each kind of time is the time of, and
# what is 0 when nothing is under way.  "closed" and some others follow from these.
my @counters = qw(
  acquires acquire_timeouts acquire_failures releases lost reused leaks leaks_reclaimed
  queries query_errors rows connects connect_errors retries retry_successes retry_failures
  breaker_trips scale_ups scale_downs cancels resets validations validation_failures
  health_checks health_check_failures closed_idle_timeout closed_max_lifetime
  closed_config_changed closed_reconnect closed_admin closed_reclaimed closed_surplus
  closed_evicted closed_dropped closed_remote_closed closed_canceled closed_error
  closed_unclean closed_proof_failed closed_reset_failed closed_check_failed
  closed_holder_exited closed_handover_failed closed_worker_exited);
my %is_counter = map { $_ => 1 } @counters;
my %timed = (wait => ['acquires'], connect => ['connects'], query => ['queries'], lease => [ 'releases', 'lost' ]);
my @figures = qw(avg p50 p95 p99 max);
my @gauges = qw(resetting connecting closing waiting);

# Options that keep a pool from doing anything by itself.
my %still = (max_size => 2, idle_timeout => 0, max_lifetime => 0, health_check_interval => 0,
	validate_after_idle => '1h', leak_threshold => 0, reset_query => '', acquire_timeout => '60s', retry_jitter => 0);

my %want;		# what each pool's row should be; by name, or whose pool it is
my %born;		# since when there can be a pool
my %seen;		# when it was compared last


#
# Rows, and what they should be
#

# view(name): its columns, and a query for its rows, each as a JSON object, with
# times as seconds since the epoch
sub view
{
	my ($name) = @_;
	my @columns = map { [ split /\|/ ] } split /\n/, sql($local,
		"SELECT attname, atttypid::regtype FROM pg_attribute WHERE attrelid = '$name'::regclass"
		  . ' AND attnum > 0 AND NOT attisdropped ORDER BY attnum');
	my $list = join ', ',
	  map { $_->[1] =~ /^timestamp/ ? qq(extract(epoch from "$_->[0]") AS "$_->[0]") : qq("$_->[0]") } @columns;

	return {
		columns => [ map { $_->[0] } @columns ],
		query => "SELECT row_to_json(v) FROM (SELECT $list FROM $name) AS v"
	};
}
my %view = map { $_ => view($_) } qw(pool_stats pool_connections pool_waiters);

# rows(view, condition): as they are now
sub rows
{
	my ($name, $condition) = @_;
	my $answer = $control->query("$view{$name}{query} WHERE $condition");

	die $answer->{err} if $answer->{state} ne '00000';
	return map { decode_json($_) } split /\n/, $answer->{out};
}

# compare(view, row, expected, since): what is wrong with the row.  Of every column
# something is expected: a text, a pattern, NULL (undef), a time since then ([ then ]),
# milliseconds that are not more than there were since ({ least => number }), or
# what the code likes.
sub compare
{
	my ($name, $row, $want, $since) = @_;
	my %left = %$want;
	my @wrong;

	foreach my $column (@{ $view{$name}{columns} })
	{
		my ($is, $should) = ($row->{$column}, $want->{$column});
		my $kind = ref $should;
		my $good =
		    !defined $should ? !defined $is
		  : !defined $is ? 0
		  : $kind eq 'Regexp' ? $is =~ $should
		  : $kind eq 'ARRAY' ? $is >= $should->[0] && $is <= time
		  : $kind eq 'HASH' ? $is >= $should->{least} && $is <= 1000 * (time - $since) + 1
		  : $kind eq 'CODE' ? $should->($is)
		  : $is eq $should;
		my $what =
		    !defined $should ? 'NULL'
		  : $kind eq 'ARRAY' ? "between $should->[0] and " . time
		  : $kind eq 'HASH' ? "at least $should->{least}"
		  : $should;

		push @wrong,
		  exists $left{$column} ? $column . ' is ' . ($is // 'NULL') . ", not $what" : "nothing is expected of $column"
		  if !$good || !exists $left{$column};
		delete $left{$column};
	}
	push @wrong, map { "there is no column $_" } sort keys %left;
	return @wrong;
}

# pool(name, options): a server, and what the row of its pool is to be.  The options
# for and user are the mapping's, and db is the database.
sub pool
{
	my ($name, %options) = @_;
	my %how = map { $_ => delete $options{$_} } grep { exists $options{$_} } qw(for user db);

	%options = (%still, %options);
	create_server($local, $name, $remote, %how, options => \%options);
	expect($name, $name, $how{for} || $me, $options{min_size} || 0, $options{max_size});
	return;
}

sub expect
{
	my ($key, $server, $user, $min, $max) = @_;

	$want{$key} = {
		database => 'postgres', server => $server, user_name => $user, state => 'ready',
		min_size => $min, max_size => $max, size_limit => $max, peak_active => 0,
		breaker => 'closed', breaker_opened_at => undef, last_error => undef, last_error_at => undef,
		stats_reset => [time], nothing_counted()
	};
	$born{$key} = $seen{$key} = time;
	return;
}

sub nothing_counted
{
	my %times;

	foreach my $kind (keys %timed)
	{
		$times{"${kind}_$_"} = undef foreach @figures;
	}
	return ((map { $_ => 0 } @counters, @gauges), %times);
}

sub stats_row
{
	my ($key) = @_;
	my $want = $want{$key};

	return (rows('pool_stats', join ' AND ', map { "$_ = '$want->{$_}'" } qw(database server user_name)))[0];
}

# wrong_stats(key, row): what is wrong with a pool's row
sub wrong_stats
{
	my ($key, $row) = @_;
	my %should = %{ $want{$key} };

	return 'no row' if !$row;

	# What follows from the others
	my %n = map { $_ => ref $should{$_} ? $row->{$_} : $should{$_} } @counters;
	$should{closed} = 0;
	$should{closed} += $n{$_} foreach grep { /^closed_/ } @counters;
	$should{open} = $n{connects} - $should{closed};
	$should{active} = $n{acquires} - $n{releases} - $n{lost};
	$should{idle} = $should{open} - $should{active} - $should{resetting};
	$should{utilization} = sprintf '%.15g', 100 * $should{active} / $should{size_limit};

	my @wrong = compare('pool_stats', $row, \%should, $born{$key});
	foreach my $kind (sort keys %timed)
	{
		my ($avg, @times) = map { $row->{"${kind}_$_"} // 0 } @figures;

		push @wrong, "$kind: p50, p95, p99, max are @times, the average $avg"
		  if "@times" ne join(' ', sort { $a <=> $b } @times) || $avg > $times[3];
	}
	return @wrong;
}

# step(what, key, changes): a test.  What has happened to the pool since the last
# one: of counters by how much they have grown ("1+": or more), of other columns
# what they are now.  "lately" is a time since the last step; of the times of wait
# and so on the least is given.
sub step
{
	my ($what, $key, %change) = @_;
	my $want = $want{$key};
	my ($row, @wrong);

	$want->{$_} = 0 foreach @gauges;
	foreach my $kind (keys %timed)
	{
		next if !grep { $change{$_} } @{ $timed{$kind} };
		$want->{"${kind}_$_"} = { least => $_ eq 'max' && $want->{"${kind}_max"} ? $want->{"${kind}_max"}{least} : 0 }
		  foreach @figures;
	}
	foreach my $column (keys %change)
	{
		my ($from, $to) = ($want->{$column}, $change{$column});

		$want->{$column} =
		    $is_counter{$column} && !ref $to
		  ? $to =~ /^(\d+)\+$/ ? sub { $_[0] >= $from + $1 } : $from + $to
		  : $column =~ /_(?:avg|p50|p95|p99|max)$/ ? { least => $to }
		  : defined $to && $to eq 'lately' ? [ $seen{$key} ]
		  : $to;
	}
	if (!exists $change{peak_active})
	{
		my $active = $want->{acquires} - $want->{releases} - $want->{lost} || ($change{acquires} ? 1 : 0);

		$want->{peak_active} = $active if $want->{peak_active} < $active;
	}

	local $Test::Builder::Level = $Test::Builder::Level + 1;
	wait_until($patience, sub { $row = stats_row($key); @wrong = wrong_stats($key, $row); return !@wrong });
	is(join("\n", @wrong), '', "$key: $what");

	# What was not known before stays as it is now; and one failure is enough.
	foreach my $column (grep { $row && defined $row->{$_} } keys %$want)
	{
		my $kind = ref $want->{$column};

		$want->{$column} = $row->{$column}
		  if $kind eq 'ARRAY'
		  || $kind eq 'CODE' && defined $change{$column} && !ref $change{$column}
		  || @wrong && !$kind && defined $want->{$column};
	}
	$seen{$key} = time;
	return;
}

# unchanged(what): a test; all rows still are what they were
sub unchanged
{
	my ($what) = @_;
	my @wrong;

	foreach my $key (sort keys %want)
	{
		my @found;

		wait_until($patience, sub { @found = wrong_stats($key, stats_row($key)); return !@found });
		push @wrong, map { "$key: $_" } @found;
	}
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	return is(join("\n", @wrong), '', $what);
}

# count_anew(key): as after a reset.  What is leased and open counts again.
sub count_anew
{
	my ($key) = @_;
	my $row = stats_row($key);

	%{ $want{$key} } = (%{ $want{$key} }, nothing_counted(), acquires => $row->{active}, peak_active => $row->{active},
		connects => $row->{open}, stats_reset => [ $seen{$key} ]);
	return;
}

# Statements of which each is a lease, and leases lost in a statement that fails
sub used { my ($n) = @_; return (acquires => $n, releases => $n, queries => $n); }
my %failed = (acquires => 1, lost => 1, queries => 1, query_errors => 1);

# ask(session, server, statement)
sub ask
{
	my ($session, $server, $statement) = @_;

	$statement = 'select 1' if !defined $statement;
	return $session->query("SELECT pool_exec('$server', '$statement')");
}

# take(session, server): a lease
sub take
{
	my ($session, $server) = @_;

	return $session->query("SELECT pool_acquire('$server', hold => true)")->{out};
}

sub give
{
	my ($session, $lease) = @_;

	return $session->query("SELECT pool_release($lease)");
}

# call(expression): the administrator's
sub call
{
	my ($expression) = @_;

	return $control->query("SELECT $expression")->{out};
}

# comes_true(condition): a test only if it does not
sub comes_true
{
	my ($condition) = @_;

	local $Test::Builder::Level = $Test::Builder::Level + 1;
	return wait_until($patience, sub { call($condition) eq 't' }) || fail("never: $condition");
}

# has_lain(server, time): its connection is idle for longer than that
sub has_lain
{
	my ($server, $time) = @_;

	return comes_true("bool_and(state = 'idle' AND clock_timestamp() - since > '$time')"
		  . " FROM pool_connections WHERE server = '$server'");
}

my $sleep = 'select pg_sleep(60)';

sub remote_sleeps
{
	return wait_for_value($remote,
		"SELECT count(*) FROM pg_stat_activity WHERE state = 'active' AND query = '$sleep'", 1, 'the remote is at work');
}

sub remote_pid
{
	my ($server) = @_;

	return call("remote_pid FROM pool_connections WHERE server = '$server'");
}

# A port that refuses connections, and is silent as soon as it is listened to.
my $dead;
socket($dead, PF_INET, SOCK_STREAM, 0) && bind($dead, sockaddr_in(0, INADDR_LOOPBACK)) or die "cannot bind: $!";
my ($dead_port) = sockaddr_in(getsockname $dead);


#
# What happens again and again is in the log at once, and then every ten seconds.
# Meanwhile the test goes on.
#
my $offset = log_offset($local);

pool('restarted', max_size => 4);
call(q(pool_prewarm('restarted', 4)));
step('prewarm', 'restarted', connects => 4);
$remote->restart;
step('the remote restarts', 'restarted', closed_remote_closed => 4);
pool('refused', port => $dead_port, retry_attempts => 30, retry_delay => '5ms', retry_max_delay => '5ms',
	breaker_threshold => 0);
ask($one, 'refused');
step('30 attempts', 'refused', acquire_failures => 1, connect_errors => 30, retries => 29, retry_failures => 29,
	state => 'failing', last_error => qr/port $dead_port failed: Connection refused/, last_error_at => 'lately');

my %line = (
	restarted => 'pool for server "restarted" lost its connection to 127\.0\.0\.1:' . $remote->port,
	refused => "could not connect pool for server \"refused\": .* port $dead_port failed: Connection refused");

# logged(server): how many events its lines tell of, and when each of them came
sub logged
{
	my ($server) = @_;
	my $text = log_since($local, $offset);
	my ($events, @times) = (0);

	while ($text =~ /^\S+ (\d+):(\d+):([\d.]+) .*LOG:  $line{$server}.*\n(?:.*DETAIL:  There were (\d+) such events since the last line\.\n)?/mg)
	{
		push @times, ($1 * 60 + $2) * 60 + $3;
		$events += $4 || 1;
	}
	return ($events, @times);
}
ok(wait_until($patience, sub { (logged($_))[0] > 0 }), "$_: the log tells at once") foreach sort keys %line;


#
# How statements and leases end
#
pool('main');
is(stats_row('main'), undef, 'nobody has used it');
$one->query(q(SELECT pool_query('main', 'select generate_series(1, 3)')));
step('a statement', 'main', used(1), connects => 1, rows => 3);
ask($one, 'main', 'select from generate_series(1, 5)');
step('by the same session', 'main', used(1), reused => 1, rows => 5);
ask($two, 'main');
step('by another one', 'main', used(1), rows => 1);
ask($two, 'main', 'select 1/0');
step('an error', 'main', used(1), reused => 1, query_errors => 1);
ask($one, 'main', 'select pg_sleep(0.3)');
step('0.3 seconds', 'main', used(1), rows => 1, query_max => 300, query_avg => 300 / 5, query_p99 => 270,
	lease_max => 300, lease_avg => 300 / 5, lease_p99 => 270);
$one->query(q(SELECT pool_query('main', NULL)));
step('nothing to run', 'main');

my $lease = take($one, 'main');
step('a lease', 'main', acquires => 1, reused => 1);
$one->query("SELECT pool_query($lease, 'select generate_series(1, 10)')") foreach 1 .. 2;
step('statements on it', 'main', queries => 2, rows => 20);
my $lease2 = take($two, 'main');
step('a second lease', 'main', acquires => 1, connects => 1);
$three->query(q(SELECT pool_acquire('main', '100ms')));
step('a session waits for too long', 'main', acquire_timeouts => 1);
$three->begin(q(SELECT pool_exec('main', 'select 1')));
step('a session waits', 'main', waiting => 1);
comes_true(q(bool_and(clock_timestamp() - since > '300ms') FROM pool_waiters));
give($one, $lease);
$three->result;
step('and is served', 'main', releases => 2, acquires => 1, queries => 1, rows => 1,
	wait_max => 300, wait_p99 => 270, lease_max => 300, lease_p95 => 270);

sql($remote, 'SELECT pg_terminate_backend('
	. call('remote_pid FROM pool_connections WHERE pid = ' . $two->pid) . ')');
comes_true(q(EXISTS (SELECT FROM pool_connections WHERE closing_reason = 'remote_closed')));
step('a connection that is leased is dead', 'main');
give($two, $lease2);
step('and comes back', 'main', lost => 1, closed_remote_closed => 1);
ask($one, 'main', 'do $$ begin perform pg_terminate_backend(pg_backend_pid()); end $$');
step('the remote hangs up in a statement', 'main', %failed, cancels => '0+', closed_remote_closed => 1);

$two->begin("SELECT pool_exec('main', '$sleep')");
remote_sleeps();
is(call('pool_cancel(' . $two->pid . ')'), 't', 'pool_cancel()');
$two->result;
step('pool_cancel()', 'main', %failed, connects => 1, cancels => '1+', closed_canceled => 1);
$one->query(q(SELECT * FROM pool_query('main',
	'select case i when 500 then ''x'' else i::text end from generate_series(1, 1000000) i') AS t(a int)));
step('an error here in the middle of the rows', 'main', %failed, rows => 500, connects => 1, cancels => '1+',
	closed_error => 1);
ask($one, 'main', 'copy pg_class to stdout');
step('COPY', 'main', %failed, connects => 1, cancels => '0+', closed_error => 1);
ask($one, 'main', 'begin');
step('a transaction is left open', 'main', used(1), connects => 1, resets => 1);
$lease = take($one, 'main');
$one->query("SELECT pool_exec($lease, 'begin')");
give($one, $lease);
step('a transaction is left open by a lease', 'main', used(1), resets => 1);
ask($one, 'main', 'set datestyle = german');
step('an output format is left', 'main', acquires => 1, lost => 1, queries => 1, closed_unclean => 1);

# What was not seen to its end is no statement.
my $victim = session($local);
$victim->begin("SELECT pool_exec('main', '$sleep')");
remote_sleeps();
call('pg_terminate_backend(' . $victim->pid . ')');
step('a session ends in a statement', 'main', acquires => 1, lost => 1, connects => 1, cancels => '1+',
	closed_holder_exited => 1);
$victim = session($local);
take($victim, 'main');
$lease = take($two, 'main');
step('two leases', 'main', acquires => 2, connects => 2);
$victim->quit;
step('a session ends with a lease', 'main', releases => 1);
$one->begin(q(SELECT pool_acquire('main'), pool_acquire('main')));
step('a session waits', 'main', acquires => 1, waiting => 1);
call('pg_cancel_backend(' . $one->pid . ')');
step('and is cancelled', 'main', releases => 1);


#
# Administration
#
call(q(pool_pause('main')));
step('pool_pause()', 'main', state => 'paused');
$one->begin(q(SELECT pool_exec('main', 'select 1')));
step('a session waits', 'main', waiting => 1);
call(q(pool_pause('main', fail => true)));
step('and fails', 'main', acquire_failures => 1);
ask($one, 'main');
step('as does who comes', 'main', acquire_failures => 1);
call(q(pool_resume('main')));
step('pool_resume()', 'main', state => 'ready');
call(q(pool_reconnect('main')));
step('pool_reconnect()', 'main', closed_reconnect => 1);
give($two, $lease);
step('of a leased one', 'main', lost => 1, closed_reconnect => 1);
call(q(pool_prewarm('main', 2)));
step('pool_prewarm()', 'main', connects => 2);
call(q(pool_resize('main', 0, 1)));
step('pool_resize()', 'main', max_size => 1, size_limit => 1, closed_surplus => 1);
call(q(pool_close('main')));
step('pool_close()', 'main', closed_admin => 1);
$lease = take($one, 'main');
call(q(pool_close('main')));
step('of a leased one', 'main', acquires => 1, connects => 1, lost => 1, cancels => '0+', closed_admin => 1);
give($one, $lease);
ask($one, 'main');
step('and another one', 'main', used(1), connects => 1, rows => 1);
call(q(pool_drain('main')));
step('pool_drain()', 'main', state => 'paused', closed_admin => 1);
call(q(pool_resume('main')));
$lease = take($one, 'main');
call(q(pool_reclaim(slot) FROM pool_connections WHERE state = 'leased'));
step('pool_reclaim()', 'main', state => 'ready', acquires => 1, connects => 1, lost => 1, cancels => '0+',
	closed_reclaimed => 1);
give($one, $lease);
call(q(pool_prewarm('main', 1)));
sql($local, q(ALTER SERVER main OPTIONS (ADD application_name 'another')));
ask($one, 'main');
step('other options', 'main', max_size => 2, size_limit => 2, used(1), rows => 1, connects => 2,
	closed_config_changed => 1);


#
# Limits, resets, checks, age, leaks, size
#
pool('hasty', query_timeout => '200ms');
ask($one, 'hasty', $sleep);
step('query_timeout', 'hasty', %failed, connects => 1, cancels => '1+', closed_canceled => 1);
pool('crowded', max_size => 1, max_waiters => 1);
$lease = take($one, 'crowded');
$two->begin(q(SELECT pool_exec('crowded', 'select 1')));
step('a session waits', 'crowded', acquires => 1, connects => 1, waiting => 1);
ask($three, 'crowded');
step('max_waiters', 'crowded', acquire_failures => 1, waiting => 1);
give($one, $lease);
$two->result;
step('and is served', 'crowded', releases => 2, acquires => 1, queries => 1, rows => 1);

pool('tidy', max_size => 1, reset_query => 'DISCARD ALL');
$lease = take($one, 'tidy');
$one->query("SELECT pool_exec($lease, 'select 1')");
give($one, $lease);
step('after a lease', 'tidy', used(1), rows => 1, connects => 1, resets => 1);
ask($one, 'tidy', 'set work_mem = 100');
step('after SET', 'tidy', used(1), resets => 1);
ask($two, 'tidy');
step('after a while', 'tidy', used(1), rows => 1, resets => 1);
pool('untidy', max_size => 1, reset_query => 'select 1/0');
ask($one, 'untidy');
step('a reset that fails in a session', 'untidy', %failed, connects => 1, cancels => '0+', closed_proof_failed => 1);
sql($local, q(ALTER SERVER untidy OPTIONS (SET reset_query '')));
$lease = take($one, 'untidy');
$one->query("SELECT pool_exec($lease, 'select 1')");
sql($local, q(ALTER SERVER untidy OPTIONS (SET reset_query 'select 1/0')));
$two->query(q(SELECT pool_acquire('untidy', '10ms')));
give($one, $lease);
step('a reset that fails in the worker', 'untidy', used(1), rows => 1, connects => 1, acquire_timeouts => 1,
	cancels => '0+', closed_reset_failed => 1);

pool('checked', validate_after_idle => '50ms', health_check_timeout => '10s');
ask($one, 'checked');
step('a statement', 'checked', used(1), rows => 1, connects => 1);
has_lain('checked', '60ms');
ask($one, 'checked');
step('after a while', 'checked', used(1), rows => 1, reused => 1, validations => 1);
has_lain('checked', '60ms');
ask($two, 'checked');
step('by another session', 'checked', used(1), rows => 1, validations => 1);
my $pid = remote_pid('checked');
sql($local, q(ALTER SERVER checked OPTIONS (SET health_check_timeout '300ms')));
has_lain('checked', '60ms');
kill 'STOP', $pid;
ask($two, 'checked');
kill 'CONT', $pid;
step('no answer: two leases, one of them lost', 'checked', acquires => 2, releases => 1, lost => 1, queries => 1,
	rows => 1, reused => 1, validations => 1, validation_failures => 1, connects => 1, cancels => '0+',
	closed_check_failed => 1);
pool('healthy', health_check_interval => '100ms');
ask($one, 'healthy');
step('checks', 'healthy', used(1), rows => 1, connects => 1, health_checks => sub { $_[0] >= 3 });
pool('unhealthy', health_check_interval => '100ms', health_check_query => 'select 1/0');
ask($one, 'unhealthy');
step('a check that fails', 'unhealthy', used(1), rows => 1, connects => 1, health_check_failures => 1,
	cancels => '0+', closed_check_failed => 1);

pool('idle', idle_timeout => '100ms');
ask($one, 'idle');
step('idle_timeout', 'idle', used(1), rows => 1, connects => 1, closed_idle_timeout => 1);
pool('ageing', max_size => 1, max_lifetime => '200ms');
ask($one, 'ageing');
comes_true(q(closed_max_lifetime >= 2 FROM pool_stats WHERE server = 'ageing'));
sql($local, q(ALTER SERVER ageing OPTIONS (SET max_lifetime '0')));
ask($one, 'ageing');
my $replaced = call(q(closed_max_lifetime FROM pool_stats WHERE server = 'ageing'));
step('max_lifetime', 'ageing', used(2), rows => 2, connects => $replaced + 1, closed_max_lifetime => $replaced,
	reused => sub { $_[0] <= 1 });

pool('forgotten', leak_threshold => '100ms');
$lease = take($one, 'forgotten');
step('a leak', 'forgotten', acquires => 1, connects => 1, leaks => 1);
give($one, $lease);
step('it comes back', 'forgotten', releases => 1, lease_max => 100, lease_p50 => 90);
pool('strict', leak_threshold => '100ms', leak_action => 'reclaim');
$lease = take($one, 'strict');
step('a leak that is taken away', 'strict', acquires => 1, connects => 1, lost => 1, leaks => 1, leaks_reclaimed => 1,
	cancels => '0+', closed_reclaimed => 1, lease_max => 100);
give($one, $lease);

pool('scaled', min_size => 1, max_size => 4, autoscale => 'on', scale_interval => '200ms', scale_down_threshold => '20%');
$want{scaled}{size_limit} = 1;
$lease = take($one, 'scaled');
step('one of one', 'scaled', acquires => 1, connects => 1, scale_ups => 1, size_limit => 2);
$lease2 = take($one, 'scaled');
step('two of two', 'scaled', acquires => 1, connects => 1, scale_ups => 1, size_limit => 3);
give($one, $_) foreach $lease, $lease2;
step('none of three', 'scaled', releases => 2, scale_downs => 2, size_limit => 1, closed_surplus => 1);

# Two pools of a server that may have two connections
sql($local, 'CREATE ROLE alice LOGIN; CREATE ROLE bob LOGIN');
pool('shared', for => 'alice', max_server_size => 2);
expect('bob', 'shared', 'bob', 0, 2);
sql($local, "CREATE USER MAPPING FOR bob SERVER shared OPTIONS (user 'app', password '$PoolTest::password');"
	  . 'GRANT USAGE ON FOREIGN SERVER shared TO alice, bob');
my ($alice, $bob) = map { session($local, user => $_) } 'alice', 'bob';
$alice->query(q(SELECT pool_prewarm('shared', 2)));
step('all that the server may have', 'shared', connects => 2);
ask($bob, 'shared');
step('gets one', 'bob', used(1), rows => 1, connects => 1);
step('gives one', 'shared', closed_evicted => 1);
$_->quit foreach $alice, $bob;

pool('dropped');
$lease = take($one, 'dropped');
ask($two, 'dropped');
step('two', 'dropped', acquires => 2, releases => 1, queries => 1, rows => 1, connects => 2, peak_active => 2);
sql($local, 'DROP SERVER dropped CASCADE');
step('and one that is leased', 'dropped', state => 'dropped', closed_dropped => 1);
give($one, $lease);
ok(wait_until($patience, sub { !stats_row('dropped') }), 'dropped: gone');
delete $want{dropped};


#
# A remote that cannot be reached
#
pool('down', port => $dead_port, retry_attempts => 3, retry_delay => '10ms', breaker_threshold => 0);
ask($one, 'down');
step('three attempts', 'down', acquire_failures => 1, connect_errors => 3, retries => 2, retry_failures => 2,
	state => 'failing', last_error => qr/Connection refused/, last_error_at => 'lately');
ask($one, 'down');
step('and another one', 'down', acquire_failures => 1, connect_errors => 1, retries => 1, retry_failures => 1,
	last_error_at => 'lately');

pool('tripped', port => $dead_port, retry_attempts => 2, retry_delay => '10ms', breaker_threshold => 2,
	breaker_timeout => '1h');
ask($one, 'tripped');
step('the breaker opens', 'tripped', acquire_failures => 1, connect_errors => 2, retries => 1, retry_failures => 1,
	breaker_trips => 1, state => 'failing', breaker => 'open', breaker_opened_at => 'lately',
	last_error => qr/Connection refused/, last_error_at => 'lately');
ask($one, 'tripped');
step('is open', 'tripped', acquire_failures => 1);
call(q(pool_breaker_reset('tripped')));
step('pool_breaker_reset()', 'tripped', breaker => 'closed', state => 'ready');

sql($remote, "CREATE ROLE $_ LOGIN PASSWORD '$PoolTest::password' CONNECTION LIMIT 0") foreach 'limited', 'flapping';
pool('limited', user => 'limited', retry_attempts => 3, retry_delay => '10ms', breaker_threshold => 3,
	breaker_timeout => '50ms', breaker_successes => 5);
ask($one, 'limited');
step('the breaker opens', 'limited', acquire_failures => 1, connect_errors => 3, retries => 2, retry_failures => 2,
	breaker_trips => 1, state => 'failing', breaker => 'open', breaker_opened_at => 'lately',
	last_error => qr/too many connections for role "limited"/, last_error_at => 'lately');
sql($remote, 'ALTER ROLE limited CONNECTION LIMIT -1');
comes_true(q(clock_timestamp() - breaker_opened_at > '100ms' FROM pool_stats WHERE server = 'limited'));
ask($one, 'limited');
step('two successes', 'limited', used(1), rows => 1, connects => 1, retries => 1, retry_successes => 1,
	state => 'ready', breaker => 'half_open');
ask($one, 'limited') foreach 1 .. 2;
step('four successes', 'limited', used(2), rows => 2, reused => 2);
ask($one, 'limited');
step('five successes', 'limited', used(1), rows => 1, reused => 1, breaker => 'closed');


#
# The sums, under load
#

# wrong_histograms(key): where those of a pool that was never reset do not agree
# with its row
sub wrong_histograms
{
	my ($key) = @_;
	my ($server, $user) = map { $want{$key}{$_} } 'server', 'user_name';
	my $row = stats_row($key);
	my (%buckets, @wrong);

	foreach my $line (split /\n/, call("metric, le, count, sum FROM pool_histogram('$server', 8) AS h"
			. " WHERE database = 'postgres' AND server = '$server' AND user_name = '$user' ORDER BY metric, le"))
	{
		my ($metric, @bucket) = split /\|/, $line;

		push @{ $buckets{$metric} }, { le => $bucket[0], count => $bucket[1], sum => $bucket[2] };
	}
	foreach my $kind (sort keys %timed)
	{
		my @buckets = @{ $buckets{$kind} || [] };
		my $all = $buckets[-1];
		my $n = 0;

		$n += $row->{$_} foreach @{ $timed{$kind} };
		if (!$all || $all->{le} ne 'Infinity' || $all->{count} != $n)
		{
			push @wrong, "$key: $kind: $n in the row, " . ($all ? "$all->{count} up to $all->{le}" : 'nothing');
			next;
		}
		next if !$n;
		push @wrong, "$key: $kind: the sum is $all->{sum}, the average of $n is " . $row->{"${kind}_avg"}
		  if abs($row->{"${kind}_avg"} * $n - $all->{sum}) > 1e-6 * $all->{sum};
		foreach my $percent (50, 95, 99)
		{
			my $is = $row->{"${kind}_p$percent"};
			my $from = 0;
			my $to;

			foreach my $bucket (@buckets)
			{
				$to = $bucket->{le};
				last if $bucket->{count} * 100 >= $percent * $n;
				$from = $to;
			}
			push @wrong, "$key: $kind: $percent % of $n are up to $is, not between $from and $to"
			  if $is < $from || $is > $to;
		}
	}
	delete @buckets{ keys %timed };
	return (@wrong, map { "$key: unknown $_" } keys %buckets);
}

sql($local, <<'SQL');
CREATE TABLE stop (now bool);
CREATE PROCEDURE work(server text) LANGUAGE plpgsql AS $$
DECLARE
	lease bigint;
BEGIN
	WHILE NOT EXISTS (SELECT FROM stop) LOOP
		BEGIN
			CASE (random() * 8)::int
				WHEN 1 THEN
					PERFORM pool_exec(server, 'set work_mem = 100');
				WHEN 2 THEN
					lease := pool_acquire(server);
					PERFORM pool_exec(lease, 'begin');
					PERFORM pool_release(lease);
				WHEN 3 THEN		-- ends with the block
					PERFORM pool_exec(pool_acquire(server), 'select 1/0');
				WHEN 4 THEN		-- ends with the transaction
					PERFORM pool_acquire(server, '1ms');
				WHEN 5 THEN
					PERFORM pool_exec(server, 'do $x$ begin perform pg_terminate_backend(pg_backend_pid()); end $x$');
				WHEN 6 THEN
					PERFORM pool_exec(server, 'select pg_sleep(1)');
				ELSE
					PERFORM pool_query(server, 'select generate_series(1, 3)');
			END CASE;
		EXCEPTION
			WHEN query_canceled THEN NULL;
			WHEN OTHERS THEN NULL;
		END;
		COMMIT;
	END LOOP;
END $$;
SQL
my %loaded = (query_timeout => '20ms', idle_timeout => '30ms', validate_after_idle => '5ms',
	reset_query => 'DISCARD ALL', retry_attempts => 2, retry_delay => '1ms', retry_max_delay => '5ms',
	breaker_threshold => 0);
create_server($local, 'busy', $remote, options => { %still, %loaded, max_size => 3, min_size => 1 });
create_server($local, 'flapping', $remote, user => 'flapping', options => { %still, %loaded });
my @workers = map { session($local, options => '-c client_min_messages=error') } 1 .. 4;

# What has to be seen to grow
my @busy = (
	(map { "busy $_" } qw(acquires acquire_timeouts releases lost reused queries query_errors rows connects cancels
		resets closed_remote_closed closed_canceled)),
	(map { "flapping $_" } qw(acquire_failures connect_errors retries retry_successes retry_failures)));

# wrong_sums(row)
sub wrong_sums
{
	my ($row) = @_;
	my $retrying = $row->{retries} - $row->{retry_successes} - $row->{retry_failures};
	my %sum = (
		acquires => $row->{releases} + $row->{lost} + $row->{active},
		connects => $row->{closed} + $row->{open},
		open => $row->{active} + $row->{idle} + $row->{resetting},
		closed => 0);
	my @wrong;

	$sum{closed} += $row->{$_} foreach grep { /^closed_/ } @counters;
	push @wrong, map { "$_ is $row->{$_}, not $sum{$_}" } grep { $row->{$_} != $sum{$_} } sort keys %sum;
	push @wrong, "$retrying retries are under way, of $row->{connecting}"
	  if $retrying < 0 || $retrying > $row->{connecting};
	push @wrong, "at most $row->{peak_active} were leased, $row->{active} are, and $row->{max_size} may be"
	  if $row->{peak_active} < $row->{active} || $row->{peak_active} > $row->{max_size};
	return @wrong;
}

# load(with resets): a test, of a look and a look again while four sessions work
sub load
{
	my ($with_resets) = @_;
	my ($looks, $resets) = (0, 0);
	my $until = time + 2;
	my (%last, %grown, @wrong);

	local $Test::Builder::Level = $Test::Builder::Level + 1;
	$_->begin(q(CALL work('busy'))) foreach @workers[ 0 .. 2 ];
	$workers[3]->begin(q(CALL work('flapping')));
	wait_until(3 * $patience, sub {
		if ($looks++ % 10 == 5)
		{
			sql($remote, 'ALTER ROLE flapping CONNECTION LIMIT ' . ($looks % 20 > 10 ? 0 : -1)
				  . q(; SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'flapping'));
		}
		if ($with_resets && $looks % 3 == 0)
		{
			call("pool_stats_reset('$_')") foreach 'busy', 'flapping';
			$resets++;
		}
		foreach my $row (rows('pool_stats', q(server IN ('busy', 'flapping'))))
		{
			my $server = $row->{server};
			my $last = $last{$server} || $row;

			push @wrong, map { "look $looks, $server: $_" } wrong_sums($row);
			foreach my $column (@counters, 'closed', 'peak_active')
			{
				$grown{"$server $column"} = 1 if $row->{$column} > $last->{$column};
				push @wrong, "look $looks, $server: $column was $last->{$column}, and is $row->{$column}"
				  if $row->{$column} < $last->{$column} && $row->{stats_reset} == $last->{stats_reset};
			}
			$last{$server} = $row;
		}
		return $looks >= 20 && time > $until && ($with_resets || !grep { !$grown{$_} } @busy);
	});
	sql($local, 'INSERT INTO stop VALUES (true)');
	is($_->result->{err}, '', 'load: a session has done its work') foreach @workers;
	sql($local, 'TRUNCATE stop');
	is(join(', ', grep { !$grown{$_} } @busy), '', 'load: everything has happened') if !$with_resets;
	is(join("\n", splice @wrong, 0, 10), '', "load: $looks looks, $resets resets: the sums hold and nothing shrinks");
	return;
}

load(0);
settled($local, 'load: settled');
$want{$_} = { database => 'postgres', server => $_, user_name => $me } foreach 'busy', 'flapping';
is(join("\n", map { wrong_histograms($_) } sort keys %want), '',
	'histograms, counters, averages and percentiles agree');
delete @want{ 'busy', 'flapping' };

my $holder = session($local);
$lease = take($holder, 'busy');
load(1);
give($holder, $lease);
settled($local, 'load: settled, with a lease that all resets had counted');
$_->quit foreach $holder, @workers;
sql($local, "DROP SERVER $_ CASCADE") foreach 'busy', 'flapping';
unchanged('nothing was counted for other pools');


#
# Resets, of a pool and of all: what is leased and open then counts as begun then.
#
sql($local, 'CREATE DATABASE other');
sql($local, 'CREATE EXTENSION pool', db => 'other');
$want{postgres} = delete $want{main};
$_->{postgres} = delete $_->{main} foreach \%born, \%seen;
pool('main', db => 'other');
$want{main}{database} = 'other';
sql($local, q(SELECT pool_exec('main', 'select 1')), db => 'other');
step('in another database', 'main', used(1), rows => 1, connects => 1);
$lease = take($one, 'main');
step('leased', 'postgres', acquires => 1, reused => 1);
call(q(pool_stats_reset('main')));
count_anew('postgres');
is_deeply([ map { $want{postgres}{$_} } qw(acquires connects) ], [ 1, 1 ], 'there are a lease and a connection');
step('pool_stats_reset()', 'postgres');
unchanged('and of no other server, and of none in another database');
$one->query("SELECT pool_exec($lease, 'select 1')");
give($one, $lease);
step('the end of the lease', 'postgres', releases => 1, queries => 1, rows => 1);
call(q(pool_stats_reset()));
count_anew($_) foreach keys %want;
$want{healthy}{health_checks} = sub { $_[0] >= 0 };
unchanged('pool_stats_reset() of all');


#
# Each state of a connection that can be held still
#
my %address = (
	remote_address => '127.0.0.1:' . $remote->port, remote_pid => qr/^\d+$/,
	$PoolTest::tls
	? (relayed => 1, tls_version => qr/^TLSv1/, tls_cipher => qr/^TLS_|-/)
	: (relayed => 0, tls_version => undef, tls_cipher => undef));

# shows(server, state, since, columns): a test; the server has one connection, in
# that state since a time after that one
sub shows
{
	my ($server, $state, $since, %columns) = @_;
	my %should = (
		database => 'postgres', server => $server, user_name => $me, slot => qr/^\d+$/, state => $state,
		pid => undef, since => [$since], uses => 0, %address, leaked => 0, context => undef,
		closing_reason => undef, usename => undef, application_name => undef, query => undef, %columns);
	my ($row, @wrong);

	local $Test::Builder::Level = $Test::Builder::Level + 1;
	wait_until($patience, sub {
		my @rows = rows('pool_connections', "server = '$server'");

		$row = $rows[0];
		@wrong = @rows == 1 ? compare('pool_connections', $row, \%should) : @rows . ' rows';
		return !@wrong;
	});
	is(join("\n", @wrong), '', "pool_connections: $server, $state");
	return $row;
}

# of(session, statement): what is shown of the session
sub of
{
	my ($session, $statement) = @_;

	return (pid => $session->pid, usename => $me, application_name => 'test ' . $session->pid,
		query => qr/^\Q$statement\E\s*;?$/);
}
$_->query(q(SET application_name = 'test ) . $_->pid . q(')) foreach $one, $two, $three;
sql($local, q(CREATE FUNCTION take(server text) RETURNS bigint LANGUAGE plpgsql AS
	$$ BEGIN RETURN pool_acquire(server, hold => true); END $$));

pool('still', leak_threshold => '200ms');
my $from = time;
$lease = $one->query(q(SELECT take('still')))->{out};
my $row = shows('still', 'leased', $from, opened => [$from], uses => 1, leaked => 1,
	context => 'PL/pgSQL function take(text) line 1 at RETURN', of($one, q(SELECT take('still'))));
$from = time;
give($one, $lease);
my %same = map { $_ => $row->{$_} } qw(slot opened remote_pid);
shows('still', 'idle', $from, %same, uses => 1);
is(sql($remote, "SELECT count(*) FROM pg_stat_activity WHERE usename = 'app' AND pid = $same{remote_pid}"),
	1, 'remote_pid is a process there');
$from = time;
$lease = take($two, 'still');
my %by_two = of($two, q(SELECT pool_acquire('still', hold => true)));
shows('still', 'leased', $from, %same, uses => 2, leaked => 1, %by_two);
call(q(pool_reconnect('still')));
shows('still', 'leased', $from, %same, uses => 2, leaked => 1, %by_two, closing_reason => 'reconnect');
step('leaked', 'still', acquires => 2, releases => 1, connects => 1, leaks => 2, lease_max => 200);
give($two, $lease);
step('comes back', 'still', lost => 1, closed_reconnect => 1);

# The remote does not go.
pool('closing');
$from = time;
ask($one, 'closing') foreach 1 .. 3;
$pid = remote_pid('closing');
kill 'STOP', $pid;
my $then = time;
call(q(pool_close('closing')));
shows('closing', 'closing', $then, opened => [$from], uses => 3, closing_reason => 'admin');
step('is closing', 'closing', used(3), rows => 3, reused => 2, connects => 1, closed_admin => 1, closing => 1);
kill 'CONT', $pid;
step('is closed', 'closing');

# The remote does not answer.
pool('resetting', reset_query => 'DISCARD ALL', health_check_timeout => '1h');
$from = time;
$lease = take($one, 'resetting');
$one->query("SELECT pool_exec($lease, 'select 1')");
$pid = remote_pid('resetting');
kill 'STOP', $pid;
$then = time;
give($one, $lease);
shows('resetting', 'resetting', $then, opened => [$from], uses => 1);
step('is being reset', 'resetting', used(1), rows => 1, connects => 1, resetting => 1);
kill 'CONT', $pid;
step('is reset', 'resetting', resets => 1);
pool('checking', health_check_interval => '300ms', health_check_timeout => '1h');
$from = time;
ask($one, 'checking');
$pid = remote_pid('checking');
kill 'STOP', $pid;
shows('checking', 'checking', $from, opened => [$from], uses => 1);
step('is being checked', 'checking', used(1), rows => 1, connects => 1, resetting => 1,
	health_checks => sub { $_[0] >= 0 });
kill 'CONT', $pid;
step('is checked', 'checking');

# The worker does nothing.
pool('returned', reset_query => 'DISCARD ALL');
$from = time;
$lease = take($one, 'returned');
$one->query("SELECT pool_exec($lease, 'select 1')");
my $worker = call(q(pid FROM pg_stat_activity WHERE backend_type = 'pool worker'));
kill 'STOP', $worker;
$then = time;
give($one, $lease);
shows('returned', 'returned', $then, opened => [$from], uses => 1);
step('nobody resets it', 'returned', used(1), rows => 1, connects => 1, resetting => 1);
pool('unknown');
$one->begin(q(SELECT pool_exec('unknown', 'select 1')));
step('the worker does not know it', 'unknown', state => 'unconfigured');
comes_true("clock_timestamp() > to_timestamp(@{[ time ]}) + '200ms'");
kill 'CONT', $worker;
$one->result;
step('the worker goes on', 'unknown', state => 'ready', used(1), rows => 1, connects => 1, wait_max => 200);
step('the worker goes on', 'returned', resets => 1);

# Nobody answers at that port any more; and that is the one attempt of a breaker.
pool('probed', port => $dead_port, retry_attempts => 1, breaker_threshold => 1, breaker_timeout => '10ms',
	connect_timeout => '1h');
ask($one, 'probed');
step('refused', 'probed', acquire_failures => 1, connect_errors => 1, breaker_trips => 1, state => 'failing',
	breaker => 'open', breaker_opened_at => 'lately', last_error => qr/Connection refused/, last_error_at => 'lately');
comes_true(q(clock_timestamp() - breaker_opened_at > '50ms' FROM pool_stats WHERE server = 'probed'));
listen($dead, 50) or die "cannot listen: $!";
$from = time;
$one->begin(q(SELECT pool_exec('probed', 'select 1')));
shows('probed', 'connecting', $from, opened => undef, remote_address => undef, remote_pid => undef, relayed => undef,
	tls_version => undef, tls_cipher => undef);
step('an attempt', 'probed', retries => 1, breaker => 'half_open', connecting => 1, waiting => 1);


#
# Who waits
#

# wait_so(server, rows): a test; those who wait for it, in their order
sub wait_so
{
	my ($server, @should) = @_;
	my @wrong;

	local $Test::Builder::Level = $Test::Builder::Level + 1;
	wait_until($patience, sub {
		my @rows = sort { $a->{place} <=> $b->{place} } rows('pool_waiters', "server = '$server'");
		my $place = 0;

		@wrong = @rows == @should ? () : @rows . ' rows';
		foreach my $should (@should)
		{
			push @wrong, compare('pool_waiters', shift @rows || {}, {
				database => 'postgres', server => $server, user_name => $me, place => ++$place, %$should });
		}
		return !@wrong;
	});
	is(join("\n", @wrong), '', "pool_waiters: $server, " . @should);
	return;
}

wait_so('probed', { since => [$from], priority => 0, of($one, q(SELECT pool_exec('probed', 'select 1'))) });
close $dead;
$one->result;
step('the attempt fails', 'probed', acquire_failures => 1, connect_errors => 1, retry_failures => 1,
	breaker_trips => 1, breaker => 'open', breaker_opened_at => 'lately', last_error => qr/reset by peer|closed the connection/,
	last_error_at => 'lately');
wait_so('probed');

pool('queue', max_size => 1, priority => 10);
$lease = take($two, 'queue');
my (@queue, @waiters);
foreach my $priority (5, 10, 7, 20, -3, 5)
{
	my $session = session($local);
	my $statement = "SELECT pool_exec('queue', 'select $priority')";
	my %row = (since => [time], priority => $priority < 10 ? $priority : 10);

	$session->query('SET application_name = \'test ' . $session->pid . "'; SET pool.priority = $priority");
	$session->begin($statement);
	push @waiters, $session;
	push @queue, { %row, of($session, $statement) };
	@queue = sort { $b->{priority} <=> $a->{priority} } @queue;		# who came first stays first
	wait_so('queue', @queue);
}
give($two, $lease);
$_->result foreach @waiters;
$_->quit foreach @waiters;
wait_so('queue');
step('all are served', 'queue', used(6), acquires => 7, releases => 7, connects => 1, rows => 6);


#
# Who sees what
#
sql($local, "CREATE ROLE $_") foreach 'team', 'carol LOGIN IN ROLE team', 'dan LOGIN IN ROLE team', 'dave LOGIN',
  'erin LOGIN', 'stranger LOGIN', 'reader LOGIN IN ROLE pg_read_all_stats';
my %owner = (private => 'alice', teamed => 'team', common => 'PUBLIC');
create_server($local, $_, $remote, for => $owner{$_}, options => { %still, max_size => 1, leak_threshold => '1h' })
  foreach sort keys %owner;
sql($local, "CREATE USER MAPPING FOR bob SERVER private OPTIONS (user 'app', password '$PoolTest::password');"
	  . 'GRANT USAGE ON FOREIGN SERVER private TO alice, bob; GRANT USAGE ON FOREIGN SERVER teamed TO team;'
	  . 'GRANT USAGE ON FOREIGN SERVER common TO dave, erin');

# Of each pool there is who holds its connection, and who waits for it.
my %shared = (
	'private alice' => [ 'alice', 'alice' ], 'private bob' => [ 'bob', 'bob' ],
	'teamed team' => [ 'dan', 'carol' ], 'common public' => [ 'dave', 'erin' ]);
my @sharing;
foreach my $pool (sort keys %shared)
{
	my ($server, $user_name) = split / /, $pool;
	my ($holds, $waits) = map { session($local, user => $_) } @{ $shared{$pool} };

	push @sharing, $holds, $waits;
	if ($server eq 'teamed')
	{
		$_->query('SET ROLE team') foreach $holds, $waits;
	}
	like($holds->query("SELECT take('$server')")->{out}, qr/^\d+$/, "$shared{$pool}[0] holds the connection of $pool");
	$waits->begin("SELECT take('$server')");
	comes_true("waiting = 1 FROM pool_stats WHERE server = '$server' AND user_name = '$user_name'");
}

my %sees = (
	alice => [ 'private alice', 'shared alice' ], bob => [ 'private bob', 'shared bob' ],
	carol => ['teamed team'], dan => ['teamed team'], dave => ['common public'], erin => ['common public'],
	stranger => []);
my %eyes = map { $_ => session($local, user => $_) } keys %sees, 'reader';
my $as_shown = '(v.usename, v.application_name, v.query) IS NOT DISTINCT FROM (a.usename, a.application_name, a.query)';
foreach my $user (sort keys %eyes)
{
	foreach my $from ('pool_stats', 'pool_connections', 'pool_waiters', 'pool_histogram()')
	{
		my $list = "SELECT DISTINCT server || ' ' || user_name FROM $from ORDER BY 1";
		my @should = $user eq 'reader' ? split /\n/, sql($local, $list) : @{ $sees{$user} };

		@should = grep { $from ne 'pool_waiters' || $shared{$_} } @should;
		is($eyes{$user}->query($list)->{out}, join("\n", @should), "$user sees of $from: " . @should);
	}
	foreach my $from ('pool_connections', 'pool_waiters')
	{
		is($eyes{$user}->query("SELECT bool_and($as_shown) FROM $from v JOIN pg_stat_activity a USING (pid)")->{out},
			$user eq 'stranger' ? '' : 't', "$user sees of sessions in $from what pg_stat_activity shows");
	}
}

# Of another's session the process is shown, and not what it does.
foreach my $pool ('teamed team', 'common public')
{
	my ($server) = split / /, $pool;
	my ($holds, $waits) = @{ $shared{$pool} };
	my $take = "SELECT take('$server')";
	my %about = (
		pool_connections => [ $holds, q(, context LIKE 'PL/pgSQL function take%') ],
		pool_waiters => [ $waits, '' ]);

	foreach my $user ($holds, $waits, 'reader')
	{
		foreach my $from (sort keys %about)
		{
			my ($whom, $column) = @{ $about{$from} };
			my $open = $user eq $whom || $user eq 'reader';
			my $process = $sharing[ 2 * (grep { $_ lt $pool } keys %shared) + ($whom eq $waits) ]->pid;

			is($eyes{$user}->query("SELECT pid, usename, split_part(query, E'\\n', 1)$column FROM $from"
					. " WHERE server = '$server'")->{out},
				join('|', $process, $whom, $open ? $take : '<insufficient privilege>', $column ? $open ? 't' : '' : ()),
				"$user sees of ${whom}'s session in $from: " . ($open ? 'all' : 'the process'));
		}
	}
}
is((sql_state($local, "SELECT pool_stats_reset($_->[1])", user => $_->[0]))[0], '42501',
	"$_->[0]: not pool_stats_reset($_->[1])")
  foreach [ 'alice', '' ], [ 'alice', q('private') ], [ 'reader', '' ];
$_->quit foreach @sharing, values %eyes;
sql($local, "DROP SERVER $_ CASCADE") foreach keys %owner;


#
# Sums in the log
#
pool($_) foreach 'marker', 'summed', 'unused';
ask($one, 'unused');
step('used before', 'unused', used(1), rows => 1, connects => 1);

# reload(pattern, setting): a test; the worker has the new setting when it has
# written that about a pool which is used and closed all the time
sub reload
{
	my ($pattern, $setting) = @_;
	my $since = log_offset($local);

	sql($local, "ALTER SYSTEM SET $_") foreach $setting, 'pool.log_connections = on';
	sql($local, 'SELECT pg_reload_conf()');
	return ok(wait_until($patience, sub {
		call(q(pool_close('marker')));
		ask($one, 'marker');
		return log_since($local, $since) =~ $pattern;
	}), $setting);
}

my $of_marker = qr/LOG:  pool for server "marker", user "\Q$me\E", database "postgres": leased/;
reload($of_marker, q(pool.log_summary_interval = '300ms'));
my $begun = log_offset($local);

# summed(server): its lines, and the sums of their figures
sub summed
{
	my ($server) = @_;
	my $text = log_since($local, $begun);
	my @names = qw(acquires timeouts failures queries query_errors connects connect_errors closed);
	my (@lines, %sum);

	while ($text =~ /LOG:  (pool for server "$server", .*)/g)
	{
		push @lines, $1;
		my @n = $lines[-1] =~ m{
			^pool\ for\ server\ "$server",\ user\ "\Q$me\E",\ database\ "postgres":
			\ leased\ \d\ of\ 2,\ idle\ \d,\ waiting\ 0;
			\ acquires\ (\d+),\ timed\ out\ (\d+),\ failed\ (\d+);
			\ statements\ (\d+),\ failed\ (\d+);
			\ connects\ (\d+),\ failed\ (\d+),\ closed\ (\d+);
			\ wait\ (?:-|[\d.]+/[\d.]+\ ms),\ statement\ (?:-|[\d.]+/[\d.]+\ ms)\ \(median/95%\)$}x;

		$sum{ $names[$_] } += $n[$_] // 1e9 foreach 0 .. $#names;
	}
	return (join(', ', map { "$_ $sum{$_}" } grep { $sum{$_} } @names), @lines);
}

# sums(what, figures): a test; of all lines of the server "summed" since the begin
my %sum;
sub sums
{
	my ($what, %more) = @_;
	my ($is, @lines);

	$sum{$_} += $more{$_} foreach keys %more;
	my $should = join ', ', map { "$_ $sum{$_}" }
	  grep { $sum{$_} } qw(acquires timeouts failures queries query_errors connects connect_errors closed);
	wait_until($patience, sub { ($is, @lines) = summed('summed'); return $is eq $should });
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	is($is, $should, "summary: $what") || diag(join "\n", @lines);
	%sum = map { split / / } split /, /, $is;		# one failure is enough
	return @lines;
}

# slowest(lines): the longest of their 95th percentiles of statements, in ms
sub slowest
{
	return (sort { $b <=> $a } map { m{statement [\d.]+/([\d.]+) ms} ? $1 : 0 } @_)[0];
}

ask($one, 'summed', 'select pg_sleep(0.3)') foreach 1 .. 2;
ask($one, 'summed', 'select 1/0');
my @lines = sums('statements', acquires => 3, queries => 3, query_errors => 1, connects => 1);
cmp_ok(slowest(@lines), '>=', 270, 'summary: the time of statements');
$from = time;
ask($one, 'summed') foreach 1 .. 5;
my $most = 1000 * (time - $from);
call(q(pool_close('summed')));
my @more = sums('more of them', acquires => 5, queries => 5, closed => 1);
cmp_ok(slowest(splice @more, scalar @lines), '<=', 1.1 * $most, 'summary: the time of these alone');
$lease = take($one, 'summed');
@lines = sums('a lease', acquires => 1, connects => 1);
like($lines[-1], qr/: leased 1 of 2, idle 0, waiting 0;/, 'summary: what there is');
$one->query("SELECT pool_exec($lease, 'select 1')") foreach 1 .. 4;
sums('statements on it', queries => 4);
give($one, $lease);
ask($one, 'summed') foreach 1 .. 2;
sums('statements again', acquires => 2, queries => 2);
call(q(pool_stats_reset('summed')));
ask($one, 'summed') foreach 1 .. 12;
sums('after a reset, which is no event', acquires => 12, queries => 12);
is((summed('unused'))[0], '', 'summary: none of a pool that was not used');

reload(qr/LOG:  connected pool for server "marker"/, q(pool.log_summary_interval = 0));
$from = log_offset($local);
ask($one, 'summed');
comes_true("clock_timestamp() > to_timestamp(@{[ time ]}) + '1.2s'");
unlike(log_since($local, $from), qr/pool for server "[^"]*", user/, 'summary: no more');


#
# In the end
#
foreach my $server (sort keys %line)
{
	my $n = $server eq 'refused' ? 30 : 4;
	my ($events, @times);

	ok( wait_until(60, sub { ($events, @times) = logged($server); return $events >= $n; }),
		"$server: the log tells of those that followed");
	is($events, $n, "$server: of all of them");
	cmp_ok(scalar @times, '>=', 2, "$server: in two lines or more");
	cmp_ok(($times[$_] - $times[ $_ - 1 ]) % 86400, '>=', 9, "$server: not more often than each ten seconds")
	  foreach 1 .. $#times;
}

delete @want{ 'marker', 'summed' };
unchanged('nothing was counted for pools that nobody used');

# The worker ends, and its connections with it.
$lease = take($one, 'main');
call(q(pool_prewarm('main', 2)));
step('one leased, one idle', 'postgres', acquires => 1, reused => 1, connects => 1);
call("pg_terminate_backend($worker)");
step('the worker ends', 'postgres', state => 'unconfigured', cancels => '0+', closed_worker_exited => 1);
give($one, $lease);
step('the worker has ended', 'postgres', state => 'unconfigured', lost => 1, closed_worker_exited => 1);
settled($local);

no_crash($local, $remote);

done_testing();
