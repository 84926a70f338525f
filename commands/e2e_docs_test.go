package commands_test

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"testing"
)

// docsInOrder are the pages whose commands make one story: the README pushes nginx:1, which the others boot and,
// in the end, delete. The commands of docs/node.md, docs/registry.md and docs/metrics.md are those of node.txtar, registry.txtar and
// metrics.txtar.
var docsInOrder = []string{"README.md", "docs/doctor.md", "docs/servers.md", "docs/images.md"}

// documented is a command that a page shows: an indented line, and not one of the drawing's. Of openstackclient's, those
// with which a tenant uses an image that ndock has pushed.
var documented = regexp.MustCompile(`(?m)^    ((?:ndock (?:doctor|image|boot|list|show|logs|stop|start|reboot|pause|unpause|snapshot|delete)|id=\$\(ndock|docker save|openstack (?:image show|server create))[^►\n]*)$`)

// tidyDocs removes what the pages' commands leave.
const tidyDocs = `
	ndock list -f value -c ID -c Name | awk '$2 ~ /^(web|web-3|job-[12])$/ { print $1 }' | xargs -r ndock delete --wait
	ndock image list -f value -c ID -c Name | awk '$2 ~ /^(web|web-2|nginx@1|debian@12|web.tar|build@v2|registry.example.com.*)$/ { print $1 }' | xargs -r ndock image delete
	docker images --format '{{.Repository}}:{{.Tag}}' | grep -xE '(registry.example.com/.*|web|nginx|debian):[^:]*' | xargs -r docker rmi
	sed -i '/ registry.example.com$/d' /etc/hosts
	rm -rf /etc/docker/certs.d/registry.example.com`

// prepareDocs makes what the pages take for granted: images, files, and a registry that is called registry.example.com.
const prepareDocs = `
	tiny-image nginx:1 'CMD ["httpd", "-f", "-h", "/www"]'
	tiny-image debian:12 'CMD ["sh"]'
	tiny-image web:1 'CMD ["httpd", "-f", "-h", "/www"]'
	docker tag web:1 registry.example.com/site/web:1
	docker save -o web.tar web:1
	ndock image copy web:1 oci:build:v2
	openssl req -x509 -newkey rsa:2048 -nodes -subj /CN=registry -addext subjectAltName=DNS:registry.example.com -keyout host.key -out host.crt -days 2
	echo 127.83.68.1 registry.example.com >>/etc/hosts
	install -D host.crt /etc/docker/certs.d/registry.example.com/ca.crt`

// docs runs every command that the pages show, as it stands there.
func docs(t *testing.T) {
	root, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	run(t, "sh", "-c", tidyDocs)
	t.Chdir(t.TempDir())
	t.Cleanup(func() { run(t, "sh", "-c", tidyDocs) })
	run(t, "bash", "-euc", prepareDocs)
	registryOfDocs(t)
	run(t, "ndock", "image", "push-glance", "--property", "os_shutdown_timeout=1", "nginx:1")
	run(t, "ndock", "image", "push-glance", "debian:12")
	ran := 0
	for _, page := range docsInOrder {
		text, err := os.ReadFile(filepath.Join(root, page))
		if err != nil {
			t.Fatal(err)
		}
		for _, match := range documented.FindAllStringSubmatch(string(text), -1) {
			t.Logf("%s: %s", page, match[1])
			run(t, "bash", "-c", match[1])
			ran++
		}
	}
	if ran < 20 {
		t.Errorf("only %d commands were found in %s", ran, docsInOrder)
	}
}

// registryOfDocs serves until the test ends, and has site/web:1.
func registryOfDocs(t *testing.T) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	serve := exec.CommandContext(ctx, "ndock", "registry", "serve", "--listen", "127.83.68.1:443", "--data", "data", "--tls-cert", "host.crt", "--tls-key", "host.key")
	if err := serve.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		cancel()
		_ = serve.Wait() // killed
	})
	run(t, "curl", "-fsS", "--cacert", "host.crt", "--retry", "50", "--retry-connrefused", "--retry-delay", "0", "--retry-max-time", "20", "https://registry.example.com/v2/")
	run(t, "ndock", "image", "copy", "docker-archive:web.tar", "docker://registry.example.com/site/web:1")
}
