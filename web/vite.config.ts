import { svelte } from "@sveltejs/vite-plugin-svelte";
import { defineConfig } from "vite";

export default defineConfig({
  plugins: [
    svelte(),
  ],
  build: {
    outDir: "../src/grue/desktop/page",
    emptyOutDir: true,
    target: "es2023",
    // Everything comes from the process: nothing is inlined that the page's policy would refuse.
    assetsInlineLimit: 0,
    modulePreload: false,
  },
});
