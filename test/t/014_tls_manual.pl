# 014_tls_manual.pl
#	The example of doc/tls.md for an encrypted remote works as it stands there: its
#	commands and statements are cut out of the text and run.
#
# Runs in the plain round only.

use strict;
use warnings;

use FindBin;
use lib $FindBin::RealBin;
use PoolTest;
use PostgreSQL::Test::Utils;
use Test::More;

my $local = start_local();
my $manual = slurp_file("$FindBin::RealBin/../../doc/tls.md");
my ($shell) = $manual =~ /^## An encrypted remote.*?^```sh\n(.*?)^```/ms;
my ($example) = $manual =~ /^## An encrypted remote.*?^```sql\n(.*?)^```/ms;
my $bank = start_remote(name => 'bank');
my $data = $bank->data_dir;
my $there = $bank->port;
ok(run_log([ 'bash', '-ec', "cd '$data'\n$shell" ]),
	'the commands of the example make certificates');
$bank->append_conf('postgresql.conf', "ssl = on\n");
unlink "$data/pg_hba.conf";
append_to_file("$data/pg_hba.conf", "local all all trust\nhostssl all all all scram-sha-256\n");
$bank->restart;
sql($bank, 'CREATE DATABASE bank');
ok($example =~ s/host 'db2.example'/host 'db2.example', hostaddr '127.0.0.1', port '$there'/
	  && $example =~ s/\/etc\/postgresql\/ca.crt/$data\/ca.crt/,
	'the example names a host and a file, for which those of the test can stand');
like(sql($local, $example), qr/^\(TLSv1\.3\)\n(.*\n)*bank\|idle\|t\|TLSv1\.3\|TLS_\w+$/m,
	'the statements of the example connect over TLS');
is(sql($local, q(SELECT relayed, tls_version FROM pool_connections WHERE server = 'bank')),
	't|TLSv1.3', 'the connection of the example is relayed with TLS 1.3');

settled($local);
no_crash($local, $bank);
done_testing();
