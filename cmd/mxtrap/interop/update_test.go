//go:build interop && linux

package interop

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

const (
	updateSecret = "mjEdEvhOIbe6YHSm5Fm7TsAIbMSpkr0BGWDrnyrxqDk=" // the reference's
	updateHost   = "mail.example.com"
)

// TestInteropUpdates has programs get certificates from an ACME server by DNS-01 challenges, and a hook publish TLSA records, each as the
// reference says.
func TestInteropUpdates(t *testing.T) {
	dir := t.TempDir()
	os.WriteFile(filepath.Join(dir, "acme.key"), []byte("hmac-sha256 "+updateSecret+"\n"), 0o600)
	m := serveInstance(t, fmt.Sprintf(`state = %q
[keys]
acme = { file = %q }
[update]
allow = ["key acme _acme-challenge.* TXT", "key acme _25._tcp.%s TLSA"]
`, dir, filepath.Join(dir, "acme.key"), updateHost), map[string]string{"example.com.toml": `name = "example.com"
[records]
"@"    = ["NS ns1", "MX 10 mail"]
ns1    = ["A 127.0.0.1"]
mail   = ["A 127.0.0.1"]
[trap]
count     = 1
addresses = ["192.0.2.26"]
`})
	acme := startPebble(t, dir, m.port)
	ask := func(name, qtype string) string {
		return output(t, "dig", "@127.0.0.1", "-p", m.port, "+short", name, qtype)
	}

	t.Run("certbot", func(t *testing.T) {
		credentials := strings.NewReplacer("192.0.2.53", "127.0.0.1", "= 53\n", "= "+m.port+"\n").Replace(block(t, "REFERENCE.md", "ini certbot.ini"))
		os.WriteFile(filepath.Join(dir, "certbot.ini"), []byte(credentials), 0o600)
		os.WriteFile(filepath.Join(dir, "acme.nsupdate"), []byte("key \"acme\" {\n\talgorithm hmac-sha256;\n\tsecret \""+updateSecret+"\";\n};\n"), 0o600)
		hook := strings.NewReplacer("/etc/mxtrap/acme.nsupdate", filepath.Join(dir, "acme.nsupdate"), "server 192.0.2.53", "server 127.0.0.1 "+m.port).
			Replace(block(t, "REFERENCE.md", "sh tlsa-hook"))
		os.WriteFile(filepath.Join(dir, "hook"), []byte(hook), 0o755)
		certbot := exec.Command("certbot", "certonly", "--non-interactive", "--agree-tos", "--register-unsafely-without-email", "--server", acme,
			"--config-dir", dir+"/certbot", "--work-dir", dir+"/work", "--logs-dir", dir+"/logs", "--dns-rfc2136", "--dns-rfc2136-credentials", dir+"/certbot.ini",
			"--dns-rfc2136-propagation-seconds", "0", "--deploy-hook", dir+"/hook", "-d", updateHost)
		certbot.Env = append(os.Environ(), "REQUESTS_CA_BUNDLE="+dir+"/ca.pem")
		if out, err := certbot.CombinedOutput(); err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
		key := output(t, "sh", "-c", "openssl x509 -in "+dir+"/certbot/live/"+updateHost+"/cert.pem -noout -pubkey | openssl pkey -pubin -outform DER | sha256sum | cut -d' ' -f1")
		if got := strings.ToLower(strings.ReplaceAll(ask("_25._tcp."+updateHost, "TLSA"), " ", "")); !strings.Contains(got, "311"+strings.TrimSpace(key)) {
			t.Errorf("TLSA %s, the key's hash is %s", got, key)
		}
	})
	t.Run("lego", func(t *testing.T) {
		lego := exec.Command("lego", "--accept-tos", "--email", "postmaster@example.com", "--server", acme, "--path", dir+"/lego", "--dns", "rfc2136", "--dns.disable-cp",
			"--dns.resolvers", "127.0.0.1:"+m.port, "--domains", updateHost, "run")
		lego.Env = append(os.Environ(), "LEGO_CA_CERTIFICATES="+dir+"/ca.pem", "RFC2136_NAMESERVER=127.0.0.1:"+m.port, "RFC2136_TSIG_KEY=acme.", "RFC2136_TSIG_SECRET="+updateSecret,
			"RFC2136_TSIG_ALGORITHM=hmac-sha256.")
		if out, err := lego.CombinedOutput(); err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
		if _, err := os.Stat(dir + "/lego/certificates/" + updateHost + ".crt"); err != nil {
			t.Error(err)
		}
	})
	t.Run("nsupdate", func(t *testing.T) {
		for _, transport := range [][]string{nil, {"-v"}} {
			nsupdate := exec.Command("nsupdate", append(transport, "-y", "hmac-sha256:acme:"+updateSecret)...)
			nsupdate.Stdin = strings.NewReader("server 127.0.0.1 " + m.port + "\nzone example.com\nprereq yxdomain mail.example.com\nprereq nxrrset _acme-challenge.x.example.com TXT\n" +
				"update add _acme-challenge.x.example.com 60 TXT \"by nsupdate\"\nsend\nupdate delete _acme-challenge.x.example.com TXT\nsend\n")
			if out, err := nsupdate.CombinedOutput(); err != nil {
				t.Errorf("%v: %v\n%s", transport, err, out)
			}
		}
		refused := exec.Command("nsupdate", "-y", "hmac-sha256:acme:"+updateSecret)
		refused.Stdin = strings.NewReader("server 127.0.0.1 " + m.port + "\nzone example.com\nupdate add mx1.example.com 60 TXT x\nsend\n")
		if out, err := refused.CombinedOutput(); err == nil || !strings.Contains(string(out), "REFUSED") {
			t.Errorf("%s", out)
		}
	})
	t.Run("a zone that another has signed", func(t *testing.T) {
		signed := write(t, m.dir, "zones/signed.db", "$TTL 3600\n@ SOA ns1.example.com. h.example.com. 1 3600 600 86400 300\n@ NS ns1.example.com.\n")
		output(t, "sh", "-c", "cd "+m.dir+"/zones && dnssec-keygen -q -a ECDSAP256SHA256 -f KSK signed.test && dnssec-signzone -q -S -z -o signed.test "+signed)
		write(t, m.dir, "zones/signed.toml", "name = \"signed.test\"\nfile = \"signed.db.signed\"\n")
		m.reload()
		eventually(t, "the zone is served", func() bool { return ask("signed.test", "NS") != "" })
		refused := exec.Command("nsupdate", "-y", "hmac-sha256:acme:"+updateSecret)
		refused.Stdin = strings.NewReader("server 127.0.0.1 " + m.port + "\nzone signed.test\nupdate add _acme-challenge.signed.test 60 TXT x\nsend\n")
		if out, err := refused.CombinedOutput(); err == nil || !strings.Contains(string(out), "REFUSED") {
			t.Errorf("%s", out)
		}
	})
	// The challenges were cleared away; what is left is the TLSA record.
	if got := ask("_acme-challenge."+updateHost, "TXT"); got != "" {
		t.Errorf("a challenge is left: %s", got)
	}
	if kept := readFile(t, filepath.Join(dir, "updates", "example.com.updates")); strings.Count(kept, "\n") != 2 || !strings.Contains(kept, "_25._tcp."+updateHost+".\t3600\tIN\tTLSA\t3 1 1 ") {
		t.Error(kept)
	}
}

// startPebble runs an ACME server that asks our name server, and returns the address of its directory.
func startPebble(t *testing.T, dir, dnsPort string) string {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "127.0.0.1"}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, IsCA: true, BasicConstraintsValid: true,
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	certificate, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	private, _ := x509.MarshalPKCS8PrivateKey(key)
	write(t, dir, "ca.pem", string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: certificate})))
	write(t, dir, "key.pem", string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: private})))
	port := freePort(t)
	write(t, dir, "pebble.json", fmt.Sprintf(`{"pebble": {"listenAddress": "127.0.0.1:%s", "managementListenAddress": "127.0.0.1:%s", "certificate": "%s/ca.pem", "privateKey": "%s/key.pem", "httpPort": 5002, "tlsPort": 5001}}`,
		port, freePort(t), dir, dir))
	pebble := &program{cmd: exec.Command("pebble", "-config", dir+"/pebble.json", "-dnsserver", "127.0.0.1:"+dnsPort), out: &buffer{}}
	pebble.cmd.Env = append(os.Environ(), "PEBBLE_VA_NOSLEEP=1", "PEBBLE_WFE_NONCEREJECT=0")
	pebble.cmd.Stdout, pebble.cmd.Stderr = pebble.out, pebble.out
	pebble.run(t)
	eventually(t, "pebble answers", func() bool {
		conn, err := net.Dial("tcp", "127.0.0.1:"+port)
		if err == nil {
			conn.Close()
		}
		return err == nil
	})
	return "https://127.0.0.1:" + port + "/dir"
}
