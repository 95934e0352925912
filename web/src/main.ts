import { mount } from "svelte";
import App from "./App.svelte";
import "./style.css";
import { direction, language } from "./lib/messages";

document.documentElement.lang = language;
document.documentElement.dir = direction;

const target = document.getElementById("app");
if (target !== null) mount(App, { target });
