"""The script of a report: a switch and a slider, which set classes. Without the script everything is shown."""

from typing import Final

SCRIPT: Final = """
"use strict";
(function () {
  var main = document.querySelector("main");
  var slider = document.getElementById("step");
  var told = document.getElementById("told");
  var printed = document.getElementById("printed");
  var views = Array.prototype.slice.call(document.querySelectorAll(".view"));
  var switches = Array.prototype.slice.call(document.querySelectorAll("input[name=view]"));
  function show() {
    var step = Number(slider.value);
    var chosen = switches.filter(function (one) { return one.checked; })[0].value;
    main.className = "d" + step;
    views.forEach(function (one) { one.classList.toggle("shown", one.dataset.view === chosen); });
    var view = document.getElementById("view-" + chosen);
    var says = JSON.parse(view.dataset.says)[step];
    slider.setAttribute("aria-valuetext", says);
    told.textContent = says;
    printed.textContent = "Printed: " + view.querySelector("h2").textContent + ", " + says;
  }
  document.documentElement.classList.add("js");
  slider.addEventListener("input", show);
  switches.forEach(function (one) { one.addEventListener("change", show); });
  show();
})();
"""
