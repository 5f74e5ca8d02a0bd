// The few custom elements of console and portal. Each one only adds comfort to markup that works
// without it: a menu that closes itself, a message that can be dismissed, a button that copies, a
// chart drawn from the table beside it, a field that shows a dependent choice.

class SummitMenu extends HTMLElement {
  connectedCallback() {
    const details = this.querySelector("details");
    this.onOutside = (event) => {
      if (details.open && !this.contains(event.target)) details.open = false;
    };
    document.addEventListener("click", this.onOutside);
    this.addEventListener("keydown", (event) => {
      if (event.key === "Escape" && details.open) {
        details.open = false;
        details.querySelector("summary").focus();
      }
    });
  }

  disconnectedCallback() {
    document.removeEventListener("click", this.onOutside);
  }
}

class SummitMessage extends HTMLElement {
  connectedCallback() {
    const button = this.querySelector("[data-dismiss]");
    if (!button) return;
    button.hidden = false;
    button.addEventListener("click", () => this.remove());
  }
}

class SummitCopy extends HTMLElement {
  connectedCallback() {
    const button = this.querySelector("button");
    const said = this.querySelector("[role=status]");
    if (!button || !navigator.clipboard) return;
    button.hidden = false;
    button.addEventListener("click", async () => {
      try {
        await navigator.clipboard.writeText(this.getAttribute("text"));
        said.textContent = this.getAttribute("done");
      } catch {
        said.textContent = this.getAttribute("failed");
      }
    });
  }
}

class SummitChart extends HTMLElement {
  connectedCallback() {
    const source = document.getElementById(this.getAttribute("data"));
    if (!source || !window.Chart) {
      this.hidden = true;
      return;
    }
    this.figure = JSON.parse(source.textContent);
    this.draw();
    this.scheme = window.matchMedia("(prefers-color-scheme: dark)");
    this.onScheme = () => this.draw();
    this.scheme.addEventListener("change", this.onScheme);
  }

  disconnectedCallback() {
    this.chart?.destroy();
    this.scheme?.removeEventListener("change", this.onScheme);
  }

  draw() {
    this.chart?.destroy();
    const canvas = this.querySelector("canvas");
    const color = (name) => {
      // A canvas can't read light-dark(), so the browser resolves it on an element first.
      this.className = `ink-${name}`;
      const resolved = getComputedStyle(this).color;
      this.className = "";
      return resolved;
    };
    const text = color("text");
    const grid = color("grid");
    const { shape, points, ticks, positions, series } = this.figure;
    const measured = positions.length > 0;
    const still = window.matchMedia("(prefers-reduced-motion: reduce)").matches;
    const many = points.length > 45;
    this.chart = new window.Chart(canvas, {
      type: shape === "line" ? "line" : "bar",
      data: {
        labels: points,
        datasets: series.map((one, index) => {
          const ink = color(`series-${(index % 6) + 1}`);
          return {
            label: one.label,
            data: measured ? one.values.map((value, at) => ({ x: positions[at], y: value })) : one.values,
            texts: one.texts,
            borderColor: ink,
            backgroundColor: shape === "line" ? ink.replace("rgb(", "rgba(").replace(")", ", 0.10)") : ink,
            fill: shape === "line" && series.length === 1,
            borderWidth: shape === "line" ? 2 : 0,
            borderRadius: shape === "line" ? 0 : 2,
            maxBarThickness: 44,
            pointRadius: many || measured || shape !== "line" ? 0 : 2,
            pointHitRadius: 12,
            spanGaps: false,
            // Of two curves that lie upon each other both are seen.
            borderDash: measured && series.length > 1 && index === 0 ? [7, 5] : undefined,
          };
        }),
      },
      options: {
        animation: still ? false : { duration: 250 },
        maintainAspectRatio: false,
        interaction: { mode: "index", intersect: false },
        plugins: {
          legend: {
            display: series.length > 1,
            position: "bottom",
            labels: { color: text, boxWidth: 10, boxHeight: 10, useBorderRadius: true, borderRadius: 2 },
          },
          tooltip: {
            callbacks: {
              title: (items) => points[items[0].dataIndex],
              label: (item) => ` ${item.dataset.label}: ${item.dataset.texts[item.dataIndex]}`,
            },
          },
        },
        scales: {
          x: {
            type: measured ? "linear" : "category",
            min: measured ? positions[0] : undefined,
            max: measured ? positions[positions.length - 1] : undefined,
            stacked: shape === "stacked",
            grid: { display: false },
            border: { color: grid },
            ticks: {
              color: text,
              maxRotation: 0,
              autoSkipPadding: 20,
              callback: (value, index) =>
                measured ? Number(value).toLocaleString(document.documentElement.lang) : ticks[index],
              maxTicksLimit: measured ? 7 : 11,
            },
          },
          y: {
            stacked: shape === "stacked",
            beginAtZero: true,
            border: { display: false },
            grid: { color: grid },
            ticks: { color: text, precision: 0, maxTicksLimit: 6 },
          },
        },
      },
    });
  }
}

// Selects whose change means "show me that": the form's own button stays for those without scripts.
class SummitAutosubmit extends HTMLElement {
  connectedCallback() {
    const form = this.querySelector("form");
    const button = form?.querySelector("[data-autosubmit]");
    if (!form) return;
    if (button) button.hidden = true;
    form.addEventListener("change", () => form.requestSubmit());
  }
}

customElements.define("summit-menu", SummitMenu);
customElements.define("summit-message", SummitMessage);
customElements.define("summit-copy", SummitCopy);
customElements.define("summit-chart", SummitChart);
customElements.define("summit-autosubmit", SummitAutosubmit);

// Buttons that open and close a dialog do so by themselves in current browsers (command, commandfor).
if (!("commandForElement" in HTMLButtonElement.prototype)) {
  document.addEventListener("click", (event) => {
    const button = event.target.closest("button[commandfor]");
    const dialog = button && document.getElementById(button.getAttribute("commandfor"));
    if (!dialog) return;
    if (button.getAttribute("command") === "show-modal") dialog.showModal();
    else dialog.close();
  });
}

// A form that moves money or makes a document is sent once, also under a double click.
document.addEventListener("submit", (event) => {
  const form = event.target;
  if (form.method !== "post" || form.hasAttribute("data-sent")) {
    if (form.hasAttribute("data-sent")) event.preventDefault();
    return;
  }
  form.setAttribute("data-sent", "");
});
window.addEventListener("pageshow", () => {
  for (const form of document.querySelectorAll("form[data-sent]")) form.removeAttribute("data-sent");
});
