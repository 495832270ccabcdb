// Opens the page in Chromium, light and dark, with script and without, and holds it to what it promises: no error in the console, nothing that the
// policy forbids, nothing from elsewhere, and nothing that axe finds. Usage: page.mjs FOLDER URL...
// FOLDER has node_modules with puppeteer-core and axe-core; screenshots are written there.
import { createRequire } from "node:module";
import fs from "node:fs";

const [folder, ...urls] = process.argv.slice(2);
const require = createRequire(folder + "/");
const puppeteer = require("puppeteer-core");
const axe = fs.readFileSync(require.resolve("axe-core/axe.min.js"), "utf8");

const browser = await puppeteer.launch({ executablePath: "/usr/bin/chromium", args: ["--no-sandbox", "--disable-gpu"] });
let faults = 0;
const fault = (...words) => { faults++; console.error(...words); };

for (const [n, url] of urls.entries()) {
	for (const scheme of ["light", "dark"]) {
		const page = await browser.newPage();
		await page.setViewport({ width: 1280, height: 900 });
		await page.emulateMediaFeatures([{ name: "prefers-color-scheme", value: scheme }]);
		page.on("console", m => fault(url, scheme, "console:", m.text()));
		page.on("pageerror", e => fault(url, scheme, "error:", e.message));
		page.on("requestfailed", r => fault(url, scheme, "failed:", r.url()));
		page.on("request", r => { if (new URL(r.url()).host !== new URL(url).host) fault(url, scheme, "asks elsewhere:", r.url()); });
		const reply = await page.goto(url, { waitUntil: "networkidle0" });
		if (!reply.headers()["content-security-policy"]?.startsWith("default-src 'none'; style-src 'self';")) fault(url, "has no policy");
		// The keyboard reaches every link, field and button, in the order of the page.
		const reachable = await page.$$eval("a[href], input, button, summary, [tabindex='0']", all => all.filter(e => e.checkVisibility()).length);
		let reached = 0;
		for (; reached <= reachable; reached++) {
			await page.keyboard.press("Tab");
			if (await page.evaluate(() => document.activeElement === document.body || document.activeElement === null)) break;
			if (reached > 400) break;
		}
		if (reached < Math.min(reachable, 400)) fault(url, scheme, "the keyboard reaches", reached, "of", reachable);
		await page.screenshot({ path: `${folder}/page-${n}-${scheme}.png`, fullPage: true });
		for (const details of await page.$$("details > summary")) await details.click();
		await page.evaluate(axe); // past the policy, which the page's own script would not get
		const found = await page.evaluate(() => window.axe.run(document, { runOnly: ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"] }));
		for (const v of found.violations) fault(url, scheme, "axe:", v.id, v.help, v.nodes.slice(0, 3).map(x => x.target.join(" ") + ": " + x.failureSummary).join("\n  "));
		if (found.passes.length < 10) fault(url, "axe looked at", found.passes.length, "rules only");
		await page.close();
	}
	const plain = await browser.newPage();
	await plain.setJavaScriptEnabled(false);
	await plain.goto(url);
	if (!(await plain.content()).includes("</footer>")) fault(url, "is not whole without script");
	await plain.close();
}
await browser.close();
console.log(`${urls.length} pages, ${faults} faults`);
process.exit(faults ? 1 : 0);
