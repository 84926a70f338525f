package main

import (
	"os"
	"regexp"
	"testing"
)

// docsInOrder are the pages whose commands make one story: the README pushes nginx:1, which the others boot and,
// in the end, delete. docs/node.md's and docs/registry.md's commands are those of node.txtar and registry.txtar.
var docsInOrder = []string{"README.md", "docs/doctor.md", "docs/servers.md", "docs/images.md"}

// documented is a command that a page shows: an indented line, and not one of the drawing's.
var documented = regexp.MustCompile(`(?m)^    ((?:ndock (?:doctor|image|boot|list|show|logs|stop|start|reboot|pause|unpause|snapshot|delete)|id=\$\(ndock)[^►\n]*)$`)

// tidyDocs removes what the pages' commands leave.
const tidyDocs = `
	ndock list -f value -c ID -c Name | awk '$2 ~ /^(web|job-[12])$/ { print $1 }' | xargs -r ndock delete --wait
	ndock image list -f value -c ID -c Name | awk '$2 ~ /^(web-2|nginx:1|debian:12)$/ { print $1 }' | xargs -r ndock image delete`

// docs runs every command that the pages show, as it stands there.
func docs(t *testing.T) {
	run(t, "sh", "-c", tidyDocs)
	run(t, "tiny-image", "nginx:1", `CMD ["httpd", "-f", "-h", "/www"]`)
	run(t, "tiny-image", "debian:12", `CMD ["sh"]`)
	t.Cleanup(func() { run(t, "sh", "-c", tidyDocs); run(t, "docker", "rmi", "nginx:1", "debian:12") })
	run(t, "ndock", "image", "push-glance", "--property", "os_shutdown_timeout=1", "nginx:1")
	run(t, "ndock", "image", "push-glance", "debian:12")
	ran := 0
	for _, page := range docsInOrder {
		text, err := os.ReadFile(page)
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
