//go:build interop

package interop

import "fmt"

// What the configurations of the other name servers begin with: addresses and folders of their own, and the key that they share with
// mxtrap.

func nsdHead(dir, port, algorithm string) string {
	return fmt.Sprintf(`
server:
  ip-address: 127.0.0.1@%[2]s
  username: ""
  zonesdir: %[1]s
  database: ""
  pidfile: %[1]s/pid
  xfrdfile: %[1]s/xfrd
  zonelistfile: %[1]s/list
  xfrdir: %[1]s
remote-control:
  control-enable: no
key:
  name: "ns2"
  algorithm: %[3]s
  secret: "%[4]s"
`, dir, port, algorithm, transferSecret)
}

// knotHead names mxtrap, at a port, the remote "mxtrap", and lets it do something by the rule "mxtrap".
func knotHead(dir, port, mxtrap, algorithm, action string) string {
	return fmt.Sprintf(`
server:
  listen: 127.0.0.1@%[2]s
  rundir: %[1]s
log:
  - target: stderr
    any: info
database:
  storage: %[1]s
key:
  - id: ns2
    algorithm: %[4]s
    secret: %[6]s
remote:
  - id: mxtrap
    address: 127.0.0.1@%[3]s
    key: ns2
acl:
  - id: mxtrap
    address: 127.0.0.1
    key: ns2
    action: %[5]s
`, dir, port, mxtrap, algorithm, action, transferSecret)
}

// bindHead takes more options.
func bindHead(dir, port, algorithm, options string) string {
	return fmt.Sprintf(`
key "ns2" { algorithm %[3]s; secret "%[5]s"; };
options {
  directory "%[1]s";
  pid-file "%[1]s/pid";
  session-keyfile "%[1]s/session";
  listen-on port %[2]s { 127.0.0.1; };
  listen-on-v6 { none; };
  recursion no;
%[4]s};
controls { };
`, dir, port, algorithm, options, transferSecret)
}
