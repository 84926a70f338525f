package horizon

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/chromedp"
)

// browser is a tab of Chromium, and the address of a Horizon.
type browser struct {
	*testing.T
	tab context.Context
	url string
}

// The waits: for a page, and for what a cloud does meanwhile.
const (
	pageLimit  = time.Minute
	cloudLimit = 2 * time.Minute
)

// openBrowser starts Debian's Chromium without a window. If the test fails, it leaves a picture of the page.
func openBrowser(t *testing.T, url string) *browser {
	t.Helper()
	options := append(chromedp.DefaultExecAllocatorOptions[:],
		chromedp.ExecPath("/usr/bin/chromium"), chromedp.WindowSize(1280, 1000),
		chromedp.NoSandbox, // it refuses to run as root with one
		chromedp.Flag("disable-dev-shm-usage", true), chromedp.Flag("lang", "en"))
	program, end := chromedp.NewExecAllocator(context.Background(), options...) // not the test's, which has ended when the picture is taken
	t.Cleanup(end)
	tab, closeTab := chromedp.NewContext(program)
	t.Cleanup(closeTab)
	b := &browser{t, tab, strings.TrimSuffix(url, "/")}
	if err := chromedp.Do(tab, chromedp.Navigate("about:blank")); err != nil { // a limit of the first action would be the browser's
		t.Fatalf("start Chromium: %v", err)
	}
	t.Cleanup(func() {
		if t.Failed() {
			b.picture("failed")
		}
	})
	return b
}

// do runs actions in the tab, and ends the test where they fail.
func (b *browser) do(what string, actions ...chromedp.Action[chromedp.Void]) {
	b.Helper()
	within, end := context.WithTimeout(b.tab, pageLimit)
	defer end()
	if err := chromedp.Do(within, actions...); err != nil {
		b.Fatalf("%s: %v", what, err)
	}
}

// visit opens one of Horizon's pages.
func (b *browser) visit(path string) {
	b.Helper()
	b.do("open "+path, chromedp.Navigate(b.url+path))
}

// is evaluates a condition in JavaScript. While a page is replaced, no condition is met.
func (b *browser) is(condition string) bool {
	within, end := context.WithTimeout(b.tab, pageLimit)
	defer end()
	met, err := chromedp.Run(within, chromedp.Evaluate[bool](library+"!!("+condition+")"))
	return err == nil && met
}

// until waits for a condition in JavaScript.
func (b *browser) until(what, condition string) {
	b.Helper()
	for end := time.Now().Add(pageLimit); !b.is(condition); {
		if time.Now().After(end) {
			b.Fatalf("gave up waiting until %s; the page has:\n%s", what, b.text())
		}
		b.do("wait", chromedp.Sleep(200*time.Millisecond))
	}
}

// reload opens a page again and again until a condition is met: the cloud takes its time.
func (b *browser) reload(path, what, condition string) {
	b.Helper()
	for end := time.Now().Add(cloudLimit); ; {
		b.visit(path)
		for range 10 { // parts of the page are loaded later
			if b.is(condition) {
				return
			}
			b.do("wait", chromedp.Sleep(300*time.Millisecond))
		}
		if time.Now().After(end) {
			b.Fatalf("gave up waiting until %s; the page has:\n%s", what, b.text())
		}
	}
}

// click waits for a visible element that a selector finds and that has this text, and clicks on the first one.
func (b *browser) click(selector, text string) {
	b.Helper()
	b.until("there is "+selector+" with "+strconv.Quote(text), fmt.Sprintf("pressed(seen(document, %q, %q))", selector, text))
}

// fill writes into the first visible field that a selector finds.
func (b *browser) fill(selector, value string) {
	b.Helper()
	b.until("there is "+selector, fmt.Sprintf("filled(seen(document, %q, ''), %q)", selector, value))
}

func (b *browser) text() string {
	within, end := context.WithTimeout(b.tab, pageLimit)
	defer end()
	text, err := chromedp.Run(within, chromedp.Evaluate[string]("document.body.innerText"))
	if err != nil {
		return err.Error()
	}
	return text
}

// picture takes a screenshot, in the directory NDOCK_PICTURES. That of a failure goes to the directory for temporary files if there is none.
func (b *browser) picture(name string) {
	b.Helper()
	dir := os.Getenv("NDOCK_PICTURES")
	if dir == "" && name != "failed" {
		return
	}
	if dir == "" {
		dir = os.TempDir()
	}
	within, end := context.WithTimeout(b.tab, pageLimit)
	defer end()
	png, err := chromedp.Run(within, chromedp.CaptureScreenshot())
	path := filepath.Join(dir, "horizon-"+name+".png")
	if err == nil {
		err = os.WriteFile(path, png, 0o644)
	}
	if err != nil {
		b.Errorf("keep a picture of the page: %v", err)
		return
	}
	b.Logf("the page looks like %s", path)
}

// library has the functions that conditions use.
const library = `
var seen = (root, selector, text) => [...root.querySelectorAll(selector)].find(e => e.getClientRects().length > 0 && (e.textContent + " " + e.value).replace(/\s+/g, " ").includes(text));
var has = (e, text) => e.innerText.toLowerCase().includes(text.toLowerCase()); // Horizon shows some words in capitals
var pressed = e => { if (!e || e.disabled) return false; e.click(); return true };
var filled = (e, value) => {
	if (!e) return false;
	e.value = value;
	for (const name of ["input", "change"]) e.dispatchEvent(new Event(name, {bubbles: true}));
	return true;
};
var row = (...texts) => [...document.querySelectorAll("tr")].find(e => e.getClientRects().length > 0 && texts.every(text => has(e, text)));
var exactly = (name, ...texts) => [...document.querySelectorAll("#instances tr")].find(e => [...e.querySelectorAll("td a")].some(a => a.textContent.trim() == name) && texts.every(text => has(e, text)));
`
