# Prometheus.pm
#	A Prometheus that scrapes servers of a test, and what it answers.

package PoolTest::Prometheus;

use strict;
use warnings;

use Exporter qw(import);
use File::Path qw(make_path);
use HTTP::Tiny;
use JSON::PP;
use PoolTest::Child;
use PoolTest::Wait;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;

our @EXPORT = qw(
  without_prometheus start_prometheus ask_prometheus query_prometheus
  wait_for_scrape firing_alerts stop_prometheus
);

# Each answers within milliseconds, but for a machine that is very busy.
my $patience = 60;

my @running;
my $number = 0;

# without_prometheus(): why a test that needs it has to be skipped; '' if it need not
sub without_prometheus
{
	my @missing = grep {
		my $program = $_;

		!grep { -x "$_/$program" } split /:/, $ENV{PATH}
	} qw(prometheus promtool);

	return @missing ? "there is no @missing; see the package prometheus" : '';
}

# start_prometheus(how): how: targets (host:port each), interval ('500ms'), rules (a
# file), labels (of the targets); returns when it answers
sub start_prometheus
{
	my (%how) = @_;
	my $dir = "$PostgreSQL::Test::Utils::tmp_check/prometheus" . ++$number;
	my $prometheus = { dir => $dir, port => PostgreSQL::Test::Cluster::get_free_port(), log => "$dir.log" };
	my $interval = $how{interval} || '500ms';
	my %config = (
		global => {
			scrape_interval => $interval,
			scrape_timeout => $interval,
			evaluation_interval => $interval
		},
		rule_files => [ $how{rules} || () ],
		scrape_configs => [ {
			job_name => 'pool',
			static_configs => [ { targets => $how{targets}, labels => $how{labels} || {} } ]
		} ]);

	make_path($dir);
	# JSON is YAML, too.
	append_to_file("$dir/prometheus.yml", encode_json(\%config));
	$prometheus->{pid} = start_child(sub {
		open STDOUT, '>', $prometheus->{log} or die "cannot write $prometheus->{log}: $!";
		open STDERR, '>&', \*STDOUT or die "cannot write $prometheus->{log}: $!";
		exec 'prometheus', "--config.file=$dir/prometheus.yml", "--storage.tsdb.path=$dir/data",
		  "--web.listen-address=127.0.0.1:$prometheus->{port}", '--log.level=warn'
		  or die "cannot start prometheus: $!";
	});
	push @running, $prometheus;
	wait_until($patience, sub { HTTP::Tiny->new->get(_url($prometheus, '/-/ready'))->{success} })
	  or die "prometheus does not start:\n" . slurp_file($prometheus->{log});
	return $prometheus;
}

# ask_prometheus(prometheus, path, parameters): what its API answers to that; dies
# with the error that it tells
sub ask_prometheus
{
	my ($prometheus, $path, %parameters) = @_;
	my $http = HTTP::Tiny->new(timeout => $patience);
	my $answer = $http->post_form(_url($prometheus, "/api/v1/$path"), \%parameters);
	$answer = $http->get(_url($prometheus, "/api/v1/$path")) if !%parameters;
	my $json = eval { decode_json($answer->{content}) }
	  or die "$path: $answer->{status} $answer->{content}";

	die "$path: $json->{error}\n" if $json->{status} ne 'success';
	return $json->{data};
}

# query_prometheus(prometheus, expression): the samples that it has now: metric (its
# labels) and value
sub query_prometheus
{
	my ($prometheus, $expression) = @_;
	my $data = ask_prometheus($prometheus, 'query', query => $expression);

	return { metric => {}, value => $data->{result}[1] } if $data->{resultType} eq 'scalar';
	return map { { metric => $_->{metric}, value => $_->{value}[1] } } @{ $data->{result} };
}

# wait_for_scrape(prometheus): until what is true now has been scraped; false if it
# was not
sub wait_for_scrape
{
	my ($prometheus) = @_;
	my ($now) = map { $_->{value} } query_prometheus($prometheus, 'time()');

	return wait_until(
		$patience,
		sub {
			# The time of the sample, once it is not that of an older scrape any more
			return query_prometheus($prometheus, "timestamp(up == 1) > $now");
		});
}

# firing_alerts(prometheus): name and labels of each, as Prometheus shows them
sub firing_alerts
{
	my ($prometheus) = @_;

	return grep { $_->{state} eq 'firing' } @{ ask_prometheus($prometheus, 'alerts')->{alerts} };
}

sub stop_prometheus
{
	my ($prometheus) = @_;

	stop_child($prometheus->{pid});
	@running = grep { $_ != $prometheus } @running;
	return;
}

sub _url
{
	my ($prometheus, $path) = @_;

	return "http://127.0.0.1:$prometheus->{port}$path";
}

# A test that dies leaves none behind.
END
{
	my $status = $?;

	stop_child(map { $_->{pid} } @running);
	$? = $status;
}

1;
