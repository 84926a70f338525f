// Package horizon tests a Docker cloud with Horizon in a browser, as a tenant uses it. 'make horizon-test' runs it.
package horizon

import (
	"cmp"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/chromedp/chromedp"

	"ndock/docker/agent"
	"ndock/openstack/horizon"
)

const (
	server, clone   = "e2e-horizon", "e2e-horizon-clone"
	image, snapshot = "e2e-horizon@1", "e2e-horizon-snapshot"
	instances       = "/project/instances/"
	images          = "/project/images"
	script          = "#ndock\n{\"command\": [\"sh\", \"-c\", \"echo hello from the wizard; exec sh\"]}\n"
)

// tidy removes what the test leaves.
const tidy = `
	ndock list -f value -c ID -c Name | awk '$2 ~ /^e2e-horizon/ { print $1 }' | xargs -r ndock delete --wait
	ndock image list -f value -c ID -c Name | awk '$2 ~ /^e2e-horizon/ { print $1 }' | xargs -r ndock image delete
	docker image inspect e2e-horizon:1 >/dev/null 2>&1 && docker rmi e2e-horizon:1 >/dev/null; true`

func shell(t *testing.T, command string) {
	t.Helper()
	if out, err := exec.Command("sh", "-euc", command).CombinedOutput(); err != nil {
		t.Fatalf("%s: %v\n%s", command, err, out)
	}
}

// TestHorizon launches a server, uses its console, makes a snapshot, launches another of that, and deletes both.
func TestHorizon(t *testing.T) {
	url := os.Getenv("NDOCK_HORIZON")
	if url == "" {
		t.Skip("NDOCK_HORIZON has no address: 'make horizon-test' gives it one")
	}
	root, err := os.Getwd() // of the checkout
	if err != nil {
		t.Fatal(err)
	}
	t.Setenv("PATH", strings.Join([]string{root + "/bin", root + "/testdata/images", os.Getenv("PATH")}, ":"))
	shell(t, tidy)
	t.Cleanup(func() { shell(t, tidy) })
	shell(t, `tiny-image e2e-horizon:1 'CMD ["sh"]' >/dev/null && ndock image push-glance --property os_shutdown_timeout=1 e2e-horizon:1`)
	b := openBrowser(t, url)
	b.logIn("demo", cmp.Or(os.Getenv("NDOCK_CLOUD_PASSWORD"), "secret"))
	b.imagesAreDocker()
	b.launch(server, "", image, script)
	b.active(server)
	b.log("hello from the wizard")
	b.console()
	b.makeSnapshot()
	b.launch(clone, "Instance Snapshot", snapshot, "")
	b.active(clone)
	b.delete(clone)
	b.delete(server)
}

// TestModuleKnowsSizes compares what the module and the agent say of sizes.
func TestModuleKnowsSizes(t *testing.T) {
	begin := strings.NewReplacer("\x1b", `\x1b`, "\a", `\x07`).Replace(agent.SizesTaken)
	size := strings.NewReplacer("\xff", `\xff`, "24x80;", "").Replace(agent.Size{Rows: 24, Columns: 80}.Message())
	for _, want := range []string{begin, size} {
		if !strings.Contains(string(horizon.Module), "'"+want+"'") {
			t.Errorf("%s is not in the module", want)
		}
	}
}

func (b *browser) logIn(user, password string) {
	b.Helper()
	b.visit("/auth/login/")
	b.fill("#id_username", user)
	b.fill("#id_password", password)
	b.click("#loginBtn", "")
	b.until("the tenant is logged in", fmt.Sprintf("seen(document, '.navbar', %q) && !document.querySelector('#id_password')", user))
}

// imagesAreDocker looks at the list of images, its filter, and the form that makes one, with its metadata.
func (b *browser) imagesAreDocker() {
	b.Helper()
	b.reload(images, "the image is listed as Docker", fmt.Sprintf("row(%q, 'Docker')", image))
	b.picture("images")
	b.until("the filter for Docker finds it", fmt.Sprintf(`(() => {
		const asked = new XMLHttpRequest(); // as the page does
		asked.open("GET", "/api/glance/images/?disk_format=docker", false);
		asked.setRequestHeader("X-Requested-With", "XMLHttpRequest");
		asked.send();
		return JSON.parse(asked.responseText).items.some(image => image.name == %q);
	})()`, image))
	b.click("button, a", "Create Image")
	b.until("Create Image offers Docker", "[...document.querySelectorAll('.modal select option')].some(e => e.textContent.trim() == 'Docker')")
	b.step("Metadata")
	b.until("Create Image offers what ndock defines", "seen(document, '.modal', 'Docker images (ndock)')")
}

// launch fills the wizard; an empty kind is an image.
func (b *browser) launch(name, kind, source, script string) {
	b.Helper()
	b.visit(instances)
	b.click("#instances__action_launch-ng", "")
	b.fill(".modal input[name=name]", name)
	b.step("Source")
	if kind != "" {
		b.until("the wizard offers "+kind, fmt.Sprintf(`(() => {
			const select = seen(document, "#boot-source-type", ""), option = select && [...select.options].find(e => e.label == %q);
			return option && filled(select, option.value);
		})()`, kind))
	}
	b.take(source, "Docker")
	if kind == "" {
		b.picture("wizard")
	}
	b.step("Flavor")
	b.take("m1.tiny")
	b.step("Configuration")
	b.fill(".modal textarea", script)
	b.click(".modal-footer button", "Launch Instance")
	b.until("the wizard is closed", "!document.querySelector('.modal-footer')")
}

func (b *browser) step(name string) {
	b.Helper()
	b.click(".modal .nav-item a", name)
}

// take moves the row with these texts from the available ones to the chosen ones. A list that is still being loaded forgets that, so it
// tries until the wizard misses nothing in this step.
func (b *browser) take(texts ...string) {
	b.Helper()
	found := "row('" + strings.Join(texts, "', '") + "')"
	b.until("the wizard takes "+found, fmt.Sprintf(`(() => {
		const line = %s, missing = seen(document, ".modal .nav-item.active .hz-icon-required", "");
		if (line && missing) pressed(seen(line, "button", ""));
		return line && !missing;
	})()`, found))
}

// active waits for the server with its address.
func (b *browser) active(name string) {
	b.Helper()
	b.reload(instances, name+" is active", fmt.Sprintf("(r => r && /198\\.51\\.100\\.\\d+/.test(r.innerText))(exactly(%q, 'Active', 'Running'))", name))
}

// log looks at the server's log.
func (b *browser) log(text string) {
	b.Helper()
	b.visit(instances)
	b.click("td a", server)
	b.click(".nav-tabs a", "Log")
	b.until("the log has "+text, fmt.Sprintf("seen(document, 'pre', %q)", text))
}

// console types into the serial console, which is a page in a frame, and looks whether the server's terminal has its size.
func (b *browser) console() {
	b.Helper()
	b.click(".nav-tabs a", "Console")
	const page = "document.querySelector('iframe').contentDocument"
	b.until("the console is connected", page+".querySelector('.terminal')")
	b.until("the console is to be seen", "(document.querySelector('iframe').scrollIntoView(), true)")
	b.do("type into the console", chromedp.MouseClickXY(640, 400), chromedp.KeyEvent("echo $((6*7)) answers\r"))
	b.until("the console answers", page+`.body.innerText.replace(/\s/g, " ").includes("42 answers")`)
	b.until("the console's head is to be seen", "(scrollBy(0, -300), true)")
	b.picture("console")
	b.do("ask for the size", chromedp.KeyEvent("while sleep 1; do stty size; done\r"))
	size := fmt.Sprintf(`(node => {
		const size = node.getAttribute("termRows") + " " + node.getAttribute("termCols");
		return size != "24 80" && %[1]s.body.innerText.replace(/\s/g, " ").includes(size);
	})(%[1]s.querySelector("#terminalNode"))`, page)
	b.until("the server knows the terminal's size", size)
	b.until("the window is smaller", fmt.Sprintf(`(() => {
		const before = %[1]s.querySelector("#terminalNode").getAttribute("termCols");
		document.querySelector("iframe").style.width = "700px";
		return before < 100;
	})()`, page))
	b.until("the server knows the terminal's new size", size)
}

func (b *browser) makeSnapshot() {
	b.Helper()
	b.visit(instances)
	b.until("there is Create Snapshot", fmt.Sprintf("pressed(seen(exactly(%q), 'a, button', 'Create Snapshot'))", server))
	b.fill(".modal #id_name", snapshot)
	b.click(".modal .btn-primary", "Create Snapshot")
	b.until("the form is sent", "!seen(document, '.modal', '')")
	b.reload(images, "the snapshot is active", fmt.Sprintf("row(%q, 'Active', 'Docker')", snapshot))
}

func (b *browser) delete(name string) {
	b.Helper()
	b.visit(instances)
	b.until("there is Delete Instance", fmt.Sprintf("(r => r && pressed([...r.querySelectorAll('button, a')].find(e => e.textContent.includes('Delete Instance'))))(exactly(%q))", name))
	b.click(".modal .btn", "Delete Instance")
	b.until("the delete is told", "document.body.innerText.includes('Scheduled deletion')") // another page before that would stop it
	b.reload(instances, name+" is gone", fmt.Sprintf("document.querySelector('#instances') && !exactly(%q)", name))
}
