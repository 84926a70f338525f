package hostinfo

import (
	"bufio"
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// meminfo reads the figures of /proc/meminfo, in KiB.
func meminfo(path string) (map[string]int, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	figures := map[string]int{}
	for lines := bufio.NewScanner(file); lines.Scan(); {
		name, rest, _ := strings.Cut(lines.Text(), ":")
		if fields := strings.Fields(rest); len(fields) > 0 {
			figures[name], _ = strconv.Atoi(fields[0]) // figures that are none are none of ours
		}
	}
	return figures, nil
}

func cpuModel() string {
	info, err := os.ReadFile("/proc/cpuinfo")
	if err != nil {
		return ""
	}
	_, rest, _ := strings.Cut(string(info), "model name")
	line, _, _ := strings.Cut(rest, "\n")
	return strings.TrimLeft(line, "\t: ")
}

// uptime returns what uptime(1) prints, which Nova passes on as it is.
func uptime(now time.Time) (string, error) {
	var info unix.Sysinfo_t
	if err := unix.Sysinfo(&info); err != nil {
		return "", fmt.Errorf("uptime: %w", err)
	}
	up := time.Duration(info.Uptime) * time.Second
	days, rest := up/(24*time.Hour), up%(24*time.Hour)
	load := func(i int) float64 { return float64(info.Loads[i]) / (1 << 16) }
	return fmt.Sprintf(" %s up %d days, %2d:%02d,  0 users,  load average: %.2f, %.2f, %.2f",
		now.Format("15:04:05"), days, rest/time.Hour, rest%time.Hour/time.Minute, load(0), load(1), load(2)), nil
}
